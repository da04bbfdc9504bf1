// The image with its layers, zoomed and moved by mouse, fingers and keys.

const MOST_ZOOM = 32;

/** Calls the function of a key, and keeps the page from scrolling by it. */
function onKeys(element, keys) {
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key](event);
  });
}

/** Dragging by one pointer, pinching by two, and the wheel, which zooms only what was clicked before or with Ctrl. */
function onDrag(element, move, zoom) {
  const down = new Map();
  element.addEventListener("pointerdown", (event) => {
    down.set(event.pointerId, event);
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) return;
    const others = [...down.values()].filter((other) => other.pointerId !== event.pointerId);
    if (others.length) {
      const gap = (one) => Math.hypot(one.clientX - others[0].clientX, one.clientY - others[0].clientY) || 1;
      zoom(gap(event) / gap(before), (event.clientX + others[0].clientX) / 2, (event.clientY + others[0].clientY) / 2);
    } else move(event.clientX - before.clientX, event.clientY - before.clientY);
    down.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    element.addEventListener(end, (event) => down.delete(event.pointerId));
  }
  element.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== element) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
  }, { passive: false });
}

function imageViewer(figure, image, ramps) {
  const viewer = figure.querySelector(".viewer");
  const stage = figure.querySelector(".stage");
  const picture = image.picture;
  const state = { x: 0, y: 0, scale: 1 };
  viewer.setAttribute("aria-label", `${image.name} with the outline of its mask. Plus and minus zoom, arrow keys move, 0 shows all of it.`);
  viewer.style.aspectRatio = `${picture.width} / ${picture.height}`;
  stage.querySelector(".grey").src = picture.grey;
  stage.querySelector(".grey").alt = `${image.name}, ${picture.what}`;
  stage.querySelector(".outline").src = picture.outline;
  const lines = stage.querySelector(".lines");
  lines.setAttribute("viewBox", `0 0 ${picture.width} ${picture.height}`);
  image.lines.forEach((path, number) => {
    if (!path) return;
    const element = document.createElementNS("http://www.w3.org/2000/svg", "path");
    element.setAttribute("d", path);
    element.style.stroke = cssColour(rampAt(ramps.diameter, number / (image.lines.length - 1)));
    lines.append(element);
  });
  const show = () => {
    const [width, height] = [viewer.clientWidth, viewer.clientHeight];
    state.x = Math.min(0, Math.max(state.x, width * (1 - state.scale)));
    state.y = Math.min(0, Math.max(state.y, height * (1 - state.scale)));
    stage.style.transform = `translate(${state.x}px, ${state.y}px) scale(${state.scale})`;
    viewer.classList.toggle("zoomed", state.scale > 1);
    viewer.classList.toggle("close", (state.scale * width) / picture.width > 3);
    scaleBar(viewer, picture, (state.scale * width) / picture.width);
  };
  const zoom = (factor, clientX, clientY) => {
    const frame = viewer.getBoundingClientRect();
    const [x, y] = [clientX === undefined ? frame.width / 2 : clientX - frame.left, clientY === undefined ? frame.height / 2 : clientY - frame.top];
    const scale = Math.min(Math.max(state.scale * factor, 1), MOST_ZOOM);
    state.x = x - ((x - state.x) * scale) / state.scale;
    state.y = y - ((y - state.y) * scale) / state.scale;
    state.scale = scale;
    show();
  };
  const move = (dx, dy) => {
    state.x += dx;
    state.y += dy;
    show();
  };
  const reset = () => {
    state.scale = 1;
    show();
  };
  const actions = { in: () => zoom(1.5), out: () => zoom(1 / 1.5), reset };
  onKeys(viewer, {
    ArrowLeft: () => move(40, 0), ArrowRight: () => move(-40, 0), ArrowUp: () => move(0, 40), ArrowDown: () => move(0, -40),
    "+": actions.in, "=": actions.in, "-": actions.out, 0: reset,
  });
  onDrag(viewer, move, zoom);
  figure.querySelectorAll("[data-do]").forEach((button) => button.addEventListener("click", actions[button.dataset.do]));
  figure.querySelectorAll("[data-layer]").forEach((box) => {
    const layer = stage.querySelector(`.${box.dataset.layer}`);
    const toggle = () => layer.classList.toggle("hidden", !box.checked);
    box.addEventListener("change", toggle);
    toggle();
  });
  new ResizeObserver(show).observe(viewer);
  window.addEventListener("beforeprint", reset);
}

/** A round number of micrometres, at most a quarter of the picture long; none without a pixel size. */
function scaleBar(viewer, picture, pixels) {
  const bar = viewer.querySelector(".bar");
  bar.classList.toggle("hidden", !picture.pixel);
  if (!picture.pixel) return;
  const most = (viewer.clientWidth / 4 / pixels) * picture.pixel;
  const power = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].find((step) => step * power <= most) * power;
  bar.style.width = `${(length / picture.pixel) * pixels}px`;
  bar.firstElementChild.textContent = `${shortNumber(length)} µm`;
}
