// What is wrong with the page that is shown, for whoever cannot see it, or not well (WCAG 2.2, level AA). One line each.
() => {
  const faults = [];
  const told = (rule, elements) =>
    elements.forEach((found) => faults.push(`${rule}: ${found.outerHTML ? found.outerHTML.slice(0, 140) : found}`));
  const all = (selector) => [...document.querySelectorAll(selector)].filter((each) => each.checkVisibility());
  const hidden = (each) => each.closest("[aria-hidden=true]");
  const name = (each) => (each.ariaLabel || each.textContent || each.title || "").trim();
  const text = (each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim());

  told("has no name", all("button, a[href], summary, [role=button]").filter((each) => !name(each)));
  told("has no label", all("input:not([type=hidden]), textarea, select")
    .filter((each) => !each.ariaLabel && !each.labels?.length && !hidden(each)));
  told("has no text", all("img:not([alt]), svg:not([aria-hidden], [role]), [role=img]:not([aria-label])"));
  told("is no list item", all("ul > :not(li), ol > :not(li)"));
  told("is too small to read", all("#main *")
    .filter((each) => text(each) && !each.closest("svg") && parseFloat(getComputedStyle(each).fontSize) < 11));

  let level = 0;
  for (const heading of document.querySelectorAll("#main h1, #main h2, #main h3, #main h4")) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) told("skips a level", [heading]);
    level = own;
  }
  if (document.querySelectorAll("h1").length !== 1) told("there is not one first heading", ["h1"]);
  if (document.querySelectorAll("main:not([role=presentation]), [role=main]").length !== 1) told("there is not one main part", ["main"]);
  if (!document.querySelector("nav[aria-label]")) told("there is no navigation", ["nav"]);
  if (!document.documentElement.lang) told("there is no language", ["html"]);
  if (!document.title.includes("Mnemic")) told("the title says nothing", [document.title]);
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
  told("comes twice", ids.filter((id, place) => ids.indexOf(id) !== place));

  // The contrast of every text to what is painted under it.
  const parse = (colour) => {
    const found = colour.match(/[\d.]+/g).map(Number);
    const scale = colour.startsWith("color(srgb") ? 255 : 1;
    return [...found.slice(0, 3).map((part) => part * scale), found[3] ?? 1];
  };
  const linear = (part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const over = (front, back) => [0, 1, 2].map((i) => front[i] * front[3] + back[i] * (1 - front[3])).concat(1);
  for (const each of all("body *")) {
    if (!text(each) || each.closest("svg, .waiting, [disabled], .sr")) continue;
    const chain = [];
    for (let at = each; at; at = at.parentElement) chain.unshift(at);
    const ground = chain.reduce((under, at) => over(parse(getComputedStyle(at).backgroundColor), under), [255, 255, 255, 1]);
    const [dark, light] = [luminance(over(parse(getComputedStyle(each).color), ground)), luminance(ground)].sort((a, b) => a - b);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) told(`has a contrast of ${ratio.toFixed(2)}`, [each]);
  }
  return faults;
}
