// Tables: of all images, which its headings sort, of the groups, of one image.

function cell(row, text, kind = "td") {
  const element = document.createElement(kind);
  element.textContent = text;
  row.append(element);
  return element;
}

/** A value with its interval in small; the interval is left out where there is none. */
function valueCell(row, [value, low, high]) {
  const element = cell(row, shortNumber(value));
  if (low !== null && high !== null) {
    const interval = document.createElement("small");
    interval.textContent = ` ${shortNumber(low)} to ${shortNumber(high)}`;
    element.append(interval);
  }
  return element;
}

function imagesTable(report) {
  const [head, body] = [document.querySelector("#table thead"), document.querySelector("#table tbody")];
  const columns = [{ key: "name", title: "image" }];
  if (report.comparison) columns.push({ key: "group", title: "group" }, { key: "animal", title: "animal" });
  const texts = columns.length;
  columns.push(...report.columns);
  const rows = report.images.map((image) => {
    const row = document.createElement("tr");
    const link = document.createElement("a");
    link.href = `#${image.id}`;
    link.textContent = image.name;
    cell(row, "").append(link);
    row.firstChild.title = image.name;
    columns.slice(1, texts).forEach((column) => cell(row, image[column.key] ?? "").className = "text");
    report.columns.forEach((column) => valueCell(row, image.values[column.key]));
    const keys = columns.map((column, i) => (i < texts ? image[column.key] ?? "" : image.values[column.key][0]));
    return { row, keys };
  });
  const heading = document.createElement("tr");
  columns.forEach((column, number) => {
    const th = cell(heading, "", "th");
    th.scope = "col";
    if (number < texts) th.className = "text";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = column.title;
    th.append(button);
    if (column.unit) {
      const unit = document.createElement("small");
      unit.textContent = column.unit;
      th.append(unit);
    }
    button.addEventListener("click", () => {
      const down = th.getAttribute("aria-sort") === "ascending";
      heading.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sorted = [...rows].sort((a, b) => byKey(a.keys[number], b.keys[number], down));
      body.append(...sorted.map((one) => one.row));
      document.getElementById("sorted").textContent = `Sorted by ${column.title}, ${down ? "largest" : "smallest"} first.`;
    });
  });
  head.append(heading);
  body.append(...rows.map((one) => one.row));
}

/** What has no value stays at the end, whichever way is sorted. */
function byKey(a, b, down) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
  return down ? -order : order;
}

function differencesTable(comparison) {
  const [head, body] = [document.querySelector("#differences thead"), document.querySelector("#differences tbody")];
  const percent = Math.round(100 * comparison.confidence);
  const heading = document.createElement("tr");
  const titles = ["quantity", "groups", "animals", "means", `difference, ${percent} % interval`, "Hedges’ g", "p", "p after Holm", "least p possible", "share of measure­ment"];
  titles.forEach((title) => cell(heading, title, "th").scope = "col");
  head.append(heading);
  for (const one of comparison.rows) {
    const row = document.createElement("tr");
    cell(row, one.title + (one.unit ? ` (${one.unit})` : ""));
    cell(row, `${one.second} − ${one.first}`);
    cell(row, `${one.counts[1]}, ${one.counts[0]}`);
    cell(row, `${shortNumber(one.means[1])}, ${shortNumber(one.means[0])}`);
    valueCell(row, one.difference);
    valueCell(row, one.g);
    cell(row, shortNumber(one.p));
    cell(row, shortNumber(one.p_holm));
    cell(row, shortNumber(one.p_smallest));
    cell(row, one.share === null ? "–" : `${Math.round(100 * one.share)} %`);
    body.append(row);
  }
}

function measurementsTable(body, measurements) {
  for (const one of measurements) {
    const row = document.createElement("tr");
    const [value, low, high] = one.value;
    cell(row, one.title);
    cell(row, value === null ? "–" : `${shortNumber(value)} ${one.unit}`);
    cell(row, low === null ? "–" : `${shortNumber(low)} to ${shortNumber(high)}`);
    body.append(row);
  }
}
