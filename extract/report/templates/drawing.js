// What every drawing needs: its width, its labels, its names for those who hear the page.
// The room for a drawing, on the screen or on a sheet of paper.
let printing = false;
const widthOf = (element) => (printing ? 660 : element.clientWidth || 320);

const labelWidth = (labels, width) => Math.min(Math.max(...labels.map((label) => label.length)) * 6.9 + 14, width * 0.44);
const shorten = (label, room) => (label.length * 6.7 > room ? `${label.slice(0, Math.floor(room / 6.7) - 1)}…` : label);

// Names for those who hear the page; links that open nothing are taken out.
function finish(svg, name) {
  svg.setAttribute("role", "group");
  svg.setAttribute("aria-label", name);
  for (const part of svg.querySelectorAll("g[aria-label]")) {
    if (part.querySelector("a")) part.removeAttribute("aria-label");
    else part.setAttribute("aria-hidden", "true");
  }
  for (const link of svg.querySelectorAll("a")) {
    const shape = link.firstElementChild;
    link.setAttribute("aria-label", shape.getAttribute("aria-label") ?? "");
    shape.removeAttribute("aria-label");
  }
  for (const bare of svg.querySelectorAll("rect[aria-label]")) bare.removeAttribute("aria-label");
  return svg;
}
