import { signedIn } from "../session";
import { Loading, Questions, Toasts } from "../ui";
import { Shell } from "./Shell";
import { SignIn } from "./SignIn";

export function App() {
  const now = signedIn.value;
  return (
    <>
      {now.state === "asking" && <Loading what="Asking the node who is signed in" />}
      {now.state === "out" && <SignIn why={now.why} />}
      {now.state === "in" && <Shell session={now.session} />}
      <Questions />
      <Toasts />
    </>
  );
}
