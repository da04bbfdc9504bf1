// Lays the report out: everything shown is in the JSON of this page, nothing is fetched.

const report = JSON.parse(document.getElementById("report").textContent);
const byId = (id) => document.getElementById(id);

function paragraph(parent, text, name = "p") {
  const element = document.createElement(name);
  element.textContent = text;
  parent.append(element);
  return element;
}

/** A link that saves one of the tables that this page holds. */
function fileLinks(parent, names) {
  const there = names.filter((name) => name in report.files);
  if (!there.length) return;
  parent.append("Data as CSV: ");
  there.forEach((name, number) => {
    const link = document.createElement("a");
    link.download = name;
    link.href = URL.createObjectURL(new Blob([report.files[name]], { type: "text/csv" }));
    link.textContent = name;
    parent.append(number ? ", " : "", link);
  });
}

function contents() {
  const nav = byId("contents");
  for (const section of document.querySelectorAll("main > section:not([hidden])")) {
    const link = document.createElement("a");
    link.href = `#${section.id}`;
    link.textContent = section.querySelector("h2").textContent;
    nav.append(link);
  }
}

function warnings() {
  const box = document.querySelector("#warnings div");
  if (!report.warnings.length) {
    paragraph(box, "Nothing amiss was found in these images.").className = "fine";
    return;
  }
  box.className = "warnings";
  const list = document.createElement("ul");
  report.warnings.forEach((line) => paragraph(list, line, "li"));
  box.append(list);
}

function comparison() {
  const found = report.comparison;
  if (!found) return;
  byId("comparison").hidden = false;
  byId("comparison-note").textContent = found.note;
  found.remarks.forEach((line) => paragraph(byId("comparison-remarks"), line, "li"));
  differencesTable(found);
  for (const plot of found.plots) {
    const figure = document.createElement("figure");
    figure.className = "plot";
    figure.innerHTML = plot.svg;
    figure.firstElementChild.setAttribute("role", "img");
    figure.firstElementChild.setAttribute("aria-label", `${plot.title}: images, animals and the difference between groups`);
    byId("plots").append(figure);
    const caption = paragraph(figure, "", "figcaption");
    caption.className = "files";
    fileLinks(caption, [plot.file]);
  }
  fileLinks(byId("comparison-files"), ["animals.csv", "comparison.csv"]);
}

function imageSection(image) {
  const section = byId("image-template").content.firstElementChild.cloneNode(true);
  section.id = image.id;
  section.querySelector("h2").textContent = image.name;
  image.warnings.forEach((line) => paragraph(section.querySelector(".remarks"), line, "li"));
  const [few, all] = section.querySelectorAll(".numbers tbody");
  measurementsTable(few, image.measurements.filter((one) => one.first));
  measurementsTable(all, image.measurements.filter((one) => !one.first));
  section.querySelector(".numbers .note").textContent = image.intervals;
  section.querySelector("details").hidden = !all.children.length;
  byId("each").append(section);
  const [overlay, tubes, diameters] = section.querySelectorAll("figure");
  overlay.querySelector("figcaption").textContent = image.picture.caption;
  imageViewer(overlay, image, report.ramps);
  if (image.network) {
    tubes.querySelector("figcaption").textContent = image.network.caption;
    networkView(tubes, image.network, report.ramps, image.name);
  } else tubes.remove();
  if (image.histogram) {
    diameters.querySelector("figcaption").textContent = image.histogram.caption;
    histogram(diameters, image.histogram, image.name);
  } else diameters.remove();
  fileLinks(section.querySelector(".files"), image.files);
}

function methods() {
  report.methods.forEach((text) => paragraph(byId("paragraphs"), text));
  report.references.forEach((text) => paragraph(byId("references"), text, "li"));
  for (const [name, value] of report.settings) {
    const row = document.createElement("tr");
    cell(row, name, "th").scope = "row";
    cell(row, value);
    document.querySelector("#settings tbody").append(row);
  }
  byId("copy").addEventListener("click", async () => {
    const text = [...report.methods, ...report.references.map((line, number) => `${number + 1}. ${line}`)].join("\n\n");
    byId("copied").textContent = (await copyText(text)) ? "Copied." : "Not allowed here: mark the text and copy it.";
  });
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea"); // pages from a disk may not use the clipboard themselves
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function theme() {
  const button = byId("theme");
  const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => button.textContent = dark() ? "Light" : "Dark";
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    name();
  });
  name();
}

document.title = report.title;
byId("made").textContent = report.made;
byId("images-note").textContent = report.note;
theme();
warnings();
imagesTable(report);
fileLinks(byId("table-files"), ["images.csv", "definitions.csv"]);
comparison();
report.images.forEach(imageSection);
methods();
contents();
document.documentElement.dataset.ready = "yes";
