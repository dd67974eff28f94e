// What happens in the browser alone: theme, keys, menus, and panning and zooming of drawings.
(() => {
  const root = document.documentElement;

  // -- theme: the system's, light or dark; remembered -------------------------------------------------------
  const themes = ["", "light", "dark"];
  const names = { "": "as the system", light: "light", dark: "dark" };
  function setTheme(name) {
    if (name) root.dataset.theme = name;
    else delete root.dataset.theme;
    try { name ? localStorage.setItem("mnemic-theme", name) : localStorage.removeItem("mnemic-theme"); } catch { /* private mode */ }
    say(`Theme: ${names[name]}`);
  }
  function nextTheme() {
    const now = root.dataset.theme || "";
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    // The first press must change what is seen: from the system's look to the other one.
    if (!now) return setTheme(dark ? "light" : "dark");
    setTheme(now === (dark ? "light" : "dark") ? (dark ? "dark" : "light") : "");
  }

  function say(text) {
    const live = document.getElementById("live");
    if (live) live.textContent = text;
  }

  // -- keys -------------------------------------------------------------------------------------------------
  let going = 0;
  function typing(target) {
    return target.closest?.("input, textarea, select, [contenteditable=true]");
  }
  function shown(selector) {
    return [...document.querySelectorAll(selector)].find((each) => each.offsetParent !== null);
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") closeMenus();
    if ((event.key === "Enter" || event.key === " ") && event.target.matches?.("g[role=button]")) {
      event.preventDefault();
      event.target.dispatchEvent(new MouseEvent("click", { bubbles: true }));
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (document.querySelector("dialog[open], .q-dialog")) return;
    const now = event.timeStamp; // when the key was pressed, however late a busy page hears of it
    if (event.key === "/") {
      event.preventDefault();
      const field = shown("[data-search] input, input[data-search]");
      if (field) { field.focus(); field.select(); } else go("s");
    } else if (event.key === "?") {
      event.preventDefault();
      document.getElementById("keys")?.showModal();
    } else if (now - going < 1200 && go(event.key)) {
      event.preventDefault();
      going = 0;
    } else going = event.key === "g" ? now : 0;
  });
  function go(key) {
    if (!/^[a-z]$/.test(key)) return false;
    const link = document.querySelector(`a[data-go="${key}"]`);
    link?.click();
    return Boolean(link);
  }

  // -- menus and buttons that need no server ----------------------------------------------------------------
  function closeMenus(except) {
    document.querySelectorAll("details.switch[open], details.menu[open]").forEach((menu) => { if (menu !== except) menu.open = false; });
  }
  document.addEventListener("click", (event) => {
    const target = event.target;
    closeMenus(target.closest("summary")?.parentElement);
    if (target.closest("[data-theme-next]")) nextTheme();
    if (target.closest("[data-keys]")) document.getElementById("keys")?.showModal();
    if (target.closest("dialog.keys [data-close]") || target.matches("dialog.keys")) document.getElementById("keys").close();
    const copy = target.closest("[data-copy]");
    if (copy) navigator.clipboard?.writeText(copy.dataset.copy).then(() => say("Copied"));
    const skip = target.closest("a.skip");
    if (skip) { event.preventDefault(); event.stopPropagation(); document.getElementById("main")?.focus(); }
  }, true);

  // -- a citation and what it cites light up together -------------------------------------------------------
  function light(event, on) {
    const cite = event.target.closest?.("[data-cite]");
    if (!cite) return;
    const place = cite.closest("[data-exchange]") || document;
    place.querySelectorAll(`[data-cite="${CSS.escape(cite.dataset.cite)}"]`).forEach((each) => each.classList.toggle("lit", on));
  }
  for (const [name, on] of [["mouseover", true], ["mouseout", false], ["focusin", true], ["focusout", false]])
    document.addEventListener(name, (event) => light(event, on));

  // -- drawings: drag to pan, wheel or buttons to zoom ------------------------------------------------------
  const views = new WeakMap();
  function view(board) {
    const svg = board.querySelector("svg.drawing");
    let seen = views.get(board);
    if (!seen || seen.svg !== svg) {
      const [x, y, w, h] = svg.getAttribute("viewBox").split(" ").map(Number);
      // What is drawn anew in the same frame keeps the place and the zoom.
      seen = seen && seen.key === board.dataset.key ? { ...seen, svg } : { svg, x, y, w, h, key: board.dataset.key };
      seen.whole = [x, y, w, h];
      views.set(board, seen);
    }
    return seen;
  }
  function draw(seen) { seen.svg.setAttribute("viewBox", `${seen.x} ${seen.y} ${seen.w} ${seen.h}`); }
  function zoom(seen, factor, fx = 0.5, fy = 0.5) {
    const width = Math.min(Math.max(seen.w * factor, seen.whole[2] / 8), seen.whole[2] * 2);
    const real = width / seen.w;
    seen.x += seen.w * (1 - real) * fx;
    seen.y += seen.h * (1 - real) * fy;
    seen.w *= real;
    seen.h *= real;
    draw(seen);
  }
  document.addEventListener("wheel", (event) => {
    const board = event.target.closest?.("[data-board]");
    if (!board || !board.querySelector("svg.drawing")) return;
    event.preventDefault();
    const box = board.getBoundingClientRect();
    zoom(view(board), event.deltaY > 0 ? 1.12 : 1 / 1.12, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }, { passive: false });
  let drag = null;
  const fingers = new Map();
  document.addEventListener("pointerdown", (event) => {
    const board = event.target.closest?.("[data-board]");
    if (!board?.querySelector("svg.drawing") || event.target.closest("button") || event.button) return;
    fingers.set(event.pointerId, event);
    drag = { board, x: event.clientX, y: event.clientY, moved: drag?.moved || false, spread: spread() };
  });
  function spread() {
    const [one, other] = [...fingers.values()];
    return other ? Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) : 0;
  }
  document.addEventListener("pointermove", (event) => {
    if (!drag || !fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, event);
    const seen = view(drag.board), box = drag.board.getBoundingClientRect();
    const wide = spread();
    if (wide && drag.spread) {
      zoom(seen, drag.spread / wide);
      drag.spread = wide;
      drag.moved = true;
      return;
    }
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    drag.moved = true;
    const scale = Math.max(seen.w / box.width, seen.h / box.height);
    seen.x -= dx * scale;
    seen.y -= dy * scale;
    drag.x = event.clientX;
    drag.y = event.clientY;
    draw(seen);
  });
  for (const end of ["pointerup", "pointercancel"])
    document.addEventListener(end, (event) => {
      fingers.delete(event.pointerId);
      const was = drag;
      setTimeout(() => { if (drag === was && !fingers.size) drag = null; });
    });
  // On a small screen the whole would be too small to read: begin with its middle, at a size that can be read.
  new MutationObserver(() => {
    const board = document.querySelector("[data-board]");
    if (!board?.querySelector("svg.drawing")) return;
    const before = views.get(board), seen = view(board);
    if (before === seen) return;
    if (before?.key === seen.key) return draw(seen);
    const scale = board.clientWidth / seen.w;
    if (scale < 0.55) zoom(seen, scale / 0.75, 0.5, 0.4);
  }).observe(document.documentElement, { childList: true, subtree: true });
  document.addEventListener("dragstart", (event) => { if (event.target.closest?.("[data-board]")) event.preventDefault(); });
  document.addEventListener("click", (event) => {
    if (drag?.moved && event.target.closest("[data-board]")) { event.preventDefault(); event.stopPropagation(); drag = null; return; }
    const button = event.target.closest("[data-zoom]");
    const board = button && document.querySelector("[data-board]");
    if (!board) return;
    const seen = view(board);
    if (button.dataset.zoom === "fit") { [seen.x, seen.y, seen.w, seen.h] = seen.whole; draw(seen); }
    else zoom(seen, button.dataset.zoom === "in" ? 1 / 1.3 : 1.3);
  }, true);

  // -- the timeline: buttons stretch it, and what was in the middle stays there ------------------------------
  const stretches = [1, 2, 4, 8, 16];
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-stretch]");
    const chart = button && document.querySelector(".tl");
    if (!chart) return;
    const now = stretches.indexOf(Number(chart.dataset.zoom));
    const next = Math.min(Math.max(now + (button.dataset.stretch === "in" ? 1 : -1), 0), stretches.length - 1);
    const middle = now === 0 ? 1 : (chart.scrollLeft + chart.clientWidth / 2) / chart.scrollWidth;
    chart.dataset.zoom = stretches[next];
    chart.scrollLeft = middle * chart.scrollWidth - chart.clientWidth / 2;
    say(`Zoom ${stretches[next]}`);
  });

  // -- back to where one came from, if that was here ---------------------------------------------------------
  let moves = 0;
  const push = history.pushState.bind(history);
  history.pushState = (...given) => { moves += 1; return push(...given); };
  document.addEventListener("click", (event) => {
    if (moves > 0 && event.target.closest("[data-back]")) { event.preventDefault(); event.stopPropagation(); history.back(); }
  }, true);

  // -- small helps for the server ---------------------------------------------------------------------------
  let arrived = false;
  window.mnemic = {
    say,
    bottom(id) {
      requestAnimationFrame(() => document.getElementById(id)?.scrollIntoView({ block: "end", behavior: "smooth" }));
    },
    // A page is there: say so, and give the focus to where one would begin. Not on the first, which nobody asked to move.
    arrived(name) {
      say(name);
      const first = !arrived;
      arrived = true;
      if (first) return;
      const fine = matchMedia("(pointer: fine)").matches;
      const target = (fine && shown("[data-search] input, .composer textarea")) || document.getElementById("main");
      target?.focus({ preventScroll: true });
    },
    focus(name, value) {
      requestAnimationFrame(() => document.querySelector(`[data-${name}="${CSS.escape(value)}"]`)?.focus());
    },
    reveal(id) {
      requestAnimationFrame(() => document.getElementById(id)?.scrollIntoView({ block: "center" }));
    },
  };
})();
