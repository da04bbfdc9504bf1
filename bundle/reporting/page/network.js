// The network in space: tubes drawn by WebGL where there is one, else strokes painted from back to front.

const TURN = Math.PI / 36;
const HOME = { yaw: -0.5, pitch: 0.55, zoom: 1 };
const EYE = 3.4; // distance of the eye from the middle, in radii of the box
const REACH = 1.2; // of the box's corners towards the eye and away from it

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}

/** Points as the mesh takes them: middle at 0, the box's corners at distance 1, y up, the first slice in front. */
function decodeNetwork(packed) {
  const raw = new Uint16Array(bytesOf(packed.points));
  const thick = new Uint16Array(bytesOf(packed.radii));
  const counts = new Uint32Array(bytesOf(packed.counts));
  const [low, high] = [packed.low, packed.high];
  const box = packed.box;
  const radius = Math.hypot(...box) / 2 || 1;
  const size = thick.length;
  const points = new Float32Array(3 * size);
  const radii = new Float32Array(size);
  const depth = new Float32Array(size);
  const diameter = new Float32Array(size);
  const [narrow, wide] = packed.diameters;
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < 3; k++) {
      const at = low[k] + (raw[3 * i + k] / 65535) * (high[k] - low[k]);
      points[3 * i + k] = ((at - box[k] / 2) / radius) * (k === 0 ? 1 : -1);
      if (k === 2) depth[i] = (at - packed.depths[0]) / (packed.depths[1] - packed.depths[0] || 1);
    }
    const r = (thick[i] / 65535) * packed.radius;
    radii[i] = r / radius;
    diameter[i] = (2 * r - narrow) / (wide - narrow || 1);
  }
  return { points, radii, depth, diameter, counts, corner: box.map((side) => side / 2 / radius) };
}

/** Triangles of tubes with round ends: position, normal, depth and diameter of each corner. */
function tubeMesh(network) {
  const sides = network.radii.length > 40000 ? 6 : 12;
  const corners = [];
  const faces = [];
  let first = 0;
  for (const count of network.counts) {
    addTube(network, first, count, sides, corners, faces);
    first += count;
  }
  return { corners: new Float32Array(corners), faces: new Uint32Array(faces) };
}

function addTube(network, first, count, sides, corners, faces) {
  const at = (i) => Array.from(network.points.subarray(3 * (first + i), 3 * (first + i) + 3));
  let ring = corners.length / 8;
  let across = null;
  for (let i = 0; i < count; i++) {
    const along = unit(minus(at(Math.min(i + 1, count - 1)), at(Math.max(i - 1, 0))));
    // the frame is carried along the line, so that the tube does not twist
    across = across ? minus(across, times(along, dot(across, along))) : perpendicular(along);
    if (Math.hypot(...across) < 1e-6) across = perpendicular(along);
    across = unit(across);
    const other = cross(along, across);
    const caps = i === 0 ? [-90, -60, -30, 0] : i === count - 1 ? [0, 30, 60, 90] : [0];
    for (const degrees of caps) {
      const [up, out] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)];
      for (let side = 0; side < sides; side++) {
        const angle = (2 * Math.PI * side) / sides;
        for (let k = 0; k < 3; k++) {
          const normal = out * (Math.cos(angle) * across[k] + Math.sin(angle) * other[k]) + up * along[k];
          corners.push(network.points[3 * (first + i) + k] + network.radii[first + i] * normal);
        }
        for (let k = 0; k < 3; k++) {
          corners.push(out * (Math.cos(angle) * across[k] + Math.sin(angle) * other[k]) + up * along[k]);
        }
        corners.push(network.depth[first + i], network.diameter[first + i]);
      }
      if (i > 0 || degrees > -90) {
        for (let side = 0; side < sides; side++) {
          const next = (side + 1) % sides;
          faces.push(ring - sides + side, ring - sides + next, ring + side, ring + side, ring - sides + next, ring + next);
        }
      }
      ring += sides;
    }
  }
}

const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const times = (a, s) => [a[0] * s, a[1] * s, a[2] * s];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
function unit(a) {
  const length = Math.hypot(...a);
  return length > 1e-12 ? times(a, 1 / length) : [1, 0, 0];
}
function perpendicular(a) {
  return unit(Math.abs(a[0]) < 0.7 ? cross(a, [1, 0, 0]) : cross(a, [0, 1, 0]));
}

/** Columns of the rotation: first about the vertical, then towards the eye. */
function rotation(camera) {
  const [c, s, d, t] = [Math.cos(camera.yaw), Math.sin(camera.yaw), Math.cos(camera.pitch), Math.sin(camera.pitch)];
  return [c, s * t, -s * d, 0, d, t, s, -c * t, c * d];
}

/** Where a point appears, in halves of the canvas' height, and its distance from the eye. */
function project(m, camera, x, y, z) {
  const away = EYE - (m[2] * x + m[5] * y + m[8] * z);
  const f = (camera.zoom * EYE * 0.95) / away;
  return [f * (m[0] * x + m[3] * y + m[6] * z), f * (m[1] * x + m[4] * y + m[7] * z), away];
}

const VERTEX = `#version 300 es
in vec3 place; in vec3 normal; in vec2 shares;
uniform mat3 turn; uniform float aspect; uniform float zoom; uniform float eye; uniform float reach; uniform bool deep;
out vec3 facing; out float share; out float away;
void main() {
  vec3 p = turn * place;
  away = eye - p.z;
  float far = eye + reach, near = eye - reach;
  gl_Position = vec4(zoom * eye * 0.95 * vec2(p.x / aspect, p.y),
    ((far + near) * away - 2.0 * far * near) / (far - near), away);
  facing = turn * normal;
  share = deep ? shares.x : shares.y;
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec3 facing; in float share; in float away;
uniform vec3 ramp[17]; uniform float eye; uniform vec3 ground;
out vec4 colour;
void main() {
  float at = clamp(share, 0.0, 1.0) * 16.0;
  int first = int(min(floor(at), 15.0));
  vec3 own = mix(ramp[first], ramp[first + 1], at - float(first));
  vec3 n = normalize(facing);
  float light = 0.35 + 0.65 * max(dot(n, normalize(vec3(-0.3, 0.45, 0.85))), 0.0);
  float mist = clamp((away - eye + 0.6) / 2.4, 0.0, 0.55);
  colour = vec4(mix(own * light, ground, mist), 1.0);
}`;
const GROUND = [11 / 255, 15 / 255, 19 / 255];

/** One WebGL context for all views of the page, since browsers allow few; null where there is none. */
const glPainter = (() => {
  let painter;
  return () => {
    if (painter === undefined) painter = makePainter();
    return painter && !painter.gl.isContextLost() ? painter : null;
  };
})();

function makePainter() {
  const canvas = document.createElement("canvas");
  const gl = canvas.getContext("webgl2", { alpha: true, antialias: true, preserveDrawingBuffer: true });
  if (!gl) return null;
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
  const uniforms = Object.fromEntries(
    ["turn", "aspect", "zoom", "eye", "reach", "deep", "ramp", "ground"].map((name) => [name, gl.getUniformLocation(program, name)]),
  );
  gl.enable(gl.DEPTH_TEST);
  gl.useProgram(program);
  return { canvas, gl, program, uniforms };
}

function uploadMesh({ gl, program }, network) {
  const mesh = tubeMesh(network);
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, mesh.corners, gl.STATIC_DRAW);
  [["place", 3, 0], ["normal", 3, 12], ["shares", 2, 24]].forEach(([name, size, offset]) => {
    const place = gl.getAttribLocation(program, name);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, gl.FLOAT, false, 32, offset);
  });
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, mesh.faces, gl.STATIC_DRAW);
  return { array, count: mesh.faces.length };
}

function paintTubes(painter, view) {
  const { gl, canvas, uniforms } = painter;
  const [width, height] = [view.canvas.width, view.canvas.height];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  view.mesh ??= uploadMesh(painter, view.network);
  gl.viewport(0, 0, width, height);
  gl.clearColor(0, 0, 0, 0);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  gl.uniformMatrix3fv(uniforms.turn, false, rotation(view.camera));
  gl.uniform1f(uniforms.aspect, width / height);
  gl.uniform1f(uniforms.zoom, view.camera.zoom);
  gl.uniform1f(uniforms.eye, EYE);
  gl.uniform1f(uniforms.reach, REACH);
  gl.uniform1i(uniforms.deep, view.colour === "depth" ? 1 : 0);
  gl.uniform3fv(uniforms.ramp, new Float32Array(view.ramps[view.colour].flat()));
  gl.uniform3fv(uniforms.ground, new Float32Array(GROUND));
  gl.bindVertexArray(view.mesh.array);
  gl.drawElements(gl.TRIANGLES, view.mesh.count, gl.UNSIGNED_INT, 0);
  view.context.drawImage(canvas, 0, 0);
}

/** Without WebGL: every piece of a centre line a stroke as wide as its vessel, the farthest first. */
function paintStrokes(view) {
  const { network, context, camera } = view;
  const m = rotation(camera);
  const half = view.canvas.height / 2;
  const middle = view.canvas.width / 2;
  const shares = network[view.colour === "depth" ? "depth" : "diameter"];
  const pieces = [];
  let first = 0;
  for (const count of network.counts) {
    let before = null;
    for (let i = first; i < first + count; i++) {
      const here = project(m, camera, ...network.points.subarray(3 * i, 3 * i + 3));
      if (before) pieces.push([(before[2] + here[2]) / 2, before, here, i]);
      before = here;
    }
    first += count;
  }
  pieces.sort((a, b) => b[0] - a[0]);
  context.lineCap = "round";
  for (const [away, a, b, i] of pieces) {
    const mist = Math.min(Math.max((away - EYE + 0.6) / 2.4, 0), 0.55);
    const colour = rampAt(view.ramps[view.colour], shares[i]).map((part, k) => 255 * (part * 0.9 * (1 - mist) + GROUND[k] * mist));
    context.strokeStyle = `rgb(${colour.map(Math.round).join(" ")})`;
    context.lineWidth = Math.max((2 * network.radii[i] * camera.zoom * EYE * 0.95 * half) / away, 1);
    context.beginPath();
    context.moveTo(middle + half * a[0], half - half * a[1]);
    context.lineTo(middle + half * b[0], half - half * b[1]);
    context.stroke();
  }
}

function rampAt(ramp, share) {
  const at = Math.min(Math.max(share, 0), 1) * (ramp.length - 1);
  const first = Math.min(Math.floor(at), ramp.length - 2);
  return ramp[first].map((part, k) => part + (at - first) * (ramp[first + 1][k] - part));
}

function paintBox(view) {
  const { context, camera } = view;
  const m = rotation(camera);
  const half = view.canvas.height / 2;
  const middle = view.canvas.width / 2;
  const [a, b, c] = view.network.corner;
  const corners = [];
  for (const x of [-a, a]) for (const y of [-b, b]) for (const z of [-c, c]) corners.push(project(m, camera, x, y, z));
  context.strokeStyle = "#5b6b7a";
  context.lineWidth = Math.max(view.canvas.height / 500, 1);
  context.beginPath();
  for (let i = 0; i < 8; i++) {
    for (const bit of [1, 2, 4]) {
      if (i & bit) continue;
      context.moveTo(middle + half * corners[i][0], half - half * corners[i][1]);
      context.lineTo(middle + half * corners[i | bit][0], half - half * corners[i | bit][1]);
    }
  }
  context.stroke();
}

/** The view of one network: drawn when it is on the screen, turned by mouse, finger and keys. */
function networkView(figure, packed, ramps, name) {
  const canvas = figure.querySelector("canvas");
  const view = { canvas, context: canvas.getContext("2d"), camera: { ...HOME }, colour: "depth", ramps, network: null, mesh: null };
  canvas.setAttribute("aria-label", `The vessels of ${name} in space. Arrow keys turn, plus and minus zoom, 0 resets.`);
  let asked = false;
  const paint = () => {
    asked = false;
    const density = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.max(Math.round(side * density), 1));
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    view.network ??= decodeNetwork(packed);
    view.context.clearRect(0, 0, width, height);
    paintBox(view);
    const painter = glPainter();
    canvas.dataset.by = painter ? "webgl" : "canvas";
    if (painter) paintTubes(painter, view);
    else paintStrokes(view);
  };
  const ask = () => {
    if (!asked) requestAnimationFrame(paint);
    asked = true;
  };
  const turn = (yaw, pitch) => {
    view.camera.yaw += yaw;
    view.camera.pitch = Math.min(Math.max(view.camera.pitch + pitch, -Math.PI / 2), Math.PI / 2);
    ask();
  };
  const zoom = (factor) => {
    view.camera.zoom = Math.min(Math.max(view.camera.zoom * factor, 0.5), 20);
    ask();
  };
  const set = (camera) => {
    Object.assign(view.camera, camera);
    ask();
  };
  const actions = {
    in: () => zoom(1.25),
    out: () => zoom(0.8),
    front: () => set({ yaw: 0, pitch: 0 }),
    side: () => set({ yaw: 0, pitch: Math.PI / 2 }),
    reset: () => set(HOME),
  };
  const keys = {
    ArrowLeft: () => turn(-TURN, 0), ArrowRight: () => turn(TURN, 0), ArrowUp: () => turn(0, -TURN), ArrowDown: () => turn(0, TURN),
    "+": actions.in, "=": actions.in, "-": actions.out, 0: actions.reset,
  };
  onKeys(canvas, keys);
  onDrag(canvas, (dx, dy) => turn((dx / canvas.clientHeight) * 3, (dy / canvas.clientHeight) * 3), zoom);
  figure.querySelectorAll("[data-do]").forEach((button) => button.addEventListener("click", actions[button.dataset.do]));
  const legend = figure.querySelector(".legend");
  const select = figure.querySelector("select");
  const recolour = () => {
    view.colour = select.value;
    const [from, to] = view.colour === "depth" ? packed.depths : packed.diameters;
    const [low, bar, high] = legend.children;
    low.textContent = `${view.colour} ${shortNumber(from)}`;
    high.textContent = `${shortNumber(to)} ${packed.unit}`;
    bar.style.background = `linear-gradient(to right, ${ramps[view.colour].map(cssColour).join(", ")})`;
    ask();
  };
  select.addEventListener("change", recolour);
  recolour();
  new ResizeObserver(ask).observe(canvas);
  window.addEventListener("beforeprint", paint);
}

function cssColour(parts) {
  return `rgb(${parts.map((part) => Math.round(255 * part)).join(" ")})`;
}
