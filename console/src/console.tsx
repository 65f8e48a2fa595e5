import { render } from "preact";
import { App } from "./app/App";
import { follow } from "./router";
import { begin } from "./session";
import "./style/index.css";
import { followTheme } from "./ui";

follow();
followTheme();
begin().catch(() => {});
render(<App />, document.getElementById("app") as HTMLElement);
