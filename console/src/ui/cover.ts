// While a dialog is open, the page behind it does not scroll, and its scrollbar is covered with it.

let open = 0;

/** Takes the page's scrollbar away and keeps its place, until the function that is returned is called. */
export function coverPage(): () => void {
  const root = document.documentElement;
  if (open++ === 0) {
    const width = innerWidth - root.clientWidth;
    root.classList.add("covered");
    root.style.setProperty("--gutter", `${width}px`);
  }
  let done = false;
  return () => {
    if (done) return;
    done = true;
    if (--open > 0) return;
    root.classList.remove("covered");
    root.style.removeProperty("--gutter");
  };
}
