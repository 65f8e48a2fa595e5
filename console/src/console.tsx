import { render } from "preact";
import { App } from "./app/App";
import { follow } from "./router";
import { begin } from "./session";
import "./style/index.css";
import { askToLeave, followTheme } from "./ui";

follow(askToLeave);
followTheme();
begin().catch(() => {});
render(<App />, document.getElementById("app") as HTMLElement);
