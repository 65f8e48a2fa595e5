// The webhooks and consumers of one map, for those to whom a portal link was given. It may stand in a frame.
import { render } from "preact";
import { Portal } from "./portal/Portal";
import { followLinks, take } from "./portal/link";
import { followHeight } from "./portal/frame";
import { follow } from "./router";
import "./style/index.css";
import { askToLeave } from "./ui";

take();
followLinks();
follow(askToLeave);
const app = document.getElementById("app") as HTMLElement;
followHeight(app);
render(<Portal />, app);
