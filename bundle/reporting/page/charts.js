// Numbers in few digits, and the histogram of diameters.

/** Three significant digits, without an exponent where it can be. */
function shortNumber(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2).replace("e+", "e");
  const digits = size === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(size)));
  return value.toFixed(digits);
}

function histogram(figure, data, name) {
  const svg = figure.querySelector("svg");
  const [width, height, left, bottom, top] = [420, 250, 62, 40, 14];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-label", `Diameters of ${name}: median ${shortNumber(data.marks.median)} ${data.unit}.`);
  const add = (tag, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    if (text !== undefined) element.textContent = text;
    svg.append(element);
    return element;
  };
  const [first, last] = [data.edges[0], data.edges[data.edges.length - 1]];
  const most = Math.max(...data.lengths) || 1;
  const x = (value) => left + ((value - first) / (last - first || 1)) * (width - left - 8);
  const y = (value) => height - bottom - (value / most) * (height - bottom - top);
  data.lengths.forEach((length, i) => {
    const bar = add("rect", { x: x(data.edges[i]) + 0.5, y: y(length), width: Math.max(x(data.edges[i + 1]) - x(data.edges[i]) - 1, 0.5), height: height - bottom - y(length) });
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = `${shortNumber(data.edges[i])} to ${shortNumber(data.edges[i + 1])} ${data.unit}: ${shortNumber(length)} ${data.length_unit}`;
    bar.append(title);
  });
  add("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - 8}` });
  for (const tick of ticks(first, last)) {
    add("path", { class: "axis", d: `M${x(tick)} ${height - bottom}v4` });
    add("text", { x: x(tick), y: height - bottom + 17, "text-anchor": "middle" }, shortNumber(tick));
  }
  for (const tick of ticks(0, most)) {
    add("path", { class: "axis", d: `M${left} ${y(tick)}h-4` });
    add("text", { x: left - 7, y: y(tick) + 4, "text-anchor": "end" }, shortNumber(tick));
  }
  add("text", { x: (left + width) / 2, y: height - 5, "text-anchor": "middle" }, `diameter (${data.unit})`);
  add("text", { transform: `translate(12 ${(height - bottom + top) / 2}) rotate(-90)`, "text-anchor": "middle" }, `length (${data.length_unit})`);
  const median = data.marks.median;
  if (median !== null) {
    add("path", { class: "mark", d: `M${x(median)} ${height - bottom}V${top}` });
    add("text", { class: "marked", x: x(median) + 5, y: top + 9 }, `median ${shortNumber(median)}`);
  }
}

/** Round numbers from a first to a last value. */
function ticks(first, last) {
  const rough = (last - first) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const found = [];
  for (let i = Math.ceil(first / step - 1e-9); i * step <= last + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}
