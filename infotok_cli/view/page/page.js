"use strict";
// One page of `infotok report`. All text from files is set as text, never as markup.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const SHORT_TICK = 0.2; // seconds for which a picture out of step may wait for its partner
  const state = { t: 0, x: 0.5, view: "picture", file: 0, playing: false };
  const canvas = $("picture");
  const context = canvas.getContext("2d");
  const work = document.createElement("canvas"); // where the difference is made
  let posters = null; // pictures that stand for the videos where the browser cannot play them
  let lastPaint = 0;
  let spokenSecond = -1;

  const file = () => data.files[state.file];
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const grouped = (number) => number.toLocaleString("en-US");

  function element(name, attributes = {}, text = null) {
    const svg = ["svg", "path", "line", "rect", "circle", "text", "g", "defs", "pattern", "clipPath", "title"];
    const made = svg.includes(name)
      ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== null) made.textContent = text;
    return made;
  }

  // ---- time ----

  const startOf = (frame) => frame >= data.frames ? data.seconds : data.starts ? data.starts[frame] : frame / data.rate;

  function frameAt(seconds) {
    if (!data.starts) return clamp(Math.floor(seconds * data.rate + 1e-3), 0, data.frames - 1);
    let low = 0, high = data.frames - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (data.starts[middle] <= seconds + 1e-4) low = middle; else high = middle - 1;
    }
    return low;
  }

  // The middle of a frame names it whatever the rounding of the browser's clock.
  const middleOf = (frame) => (startOf(frame) + startOf(frame + 1)) / 2;

  // ---- videos ----

  function addressOf(id) {
    const block = $(id);
    if (block.dataset.src) return block.dataset.src;
    const text = atob(block.textContent.trim());
    const bytes = new Uint8Array(text.length);
    for (let place = 0; place < text.length; place++) bytes[place] = text.charCodeAt(place);
    return URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
  }

  function openVideo(id, name) {
    const video = document.createElement("video");
    Object.assign(video, { muted: true, playsInline: true, preload: "auto", tabIndex: -1 });
    video.setAttribute("aria-hidden", "true");
    video.addEventListener("seeked", () => { video.shown = undefined; paint(); });
    video.addEventListener("loadeddata", paint);
    video.addEventListener("error", () => usePosters(`This browser cannot play the video of ${name}`));
    video.src = addressOf(id);
    if (video.requestVideoFrameCallback) {
      const presented = (_, facts) => {
        video.shown = facts.mediaTime;
        video.requestVideoFrameCallback(presented);
        paint();
      };
      video.requestVideoFrameCallback(presented);
    }
    $("stage").prepend(video);
    return video;
  }

  const source = {};
  const videos = [];

  function openVideos() {
    if (!document.createElement("video").canPlayType('video/mp4; codecs="avc1.640028"')) {
      usePosters("This browser cannot play H.264");
      return;
    }
    if (data.source) source.video = openVideo(data.source.video, data.source.name);
    for (const one of data.files) videos.push(openVideo(one.video, one.name));
    const end = () => { if (state.playing) { pause(); setTime(data.seconds); } };
    videos.forEach((video) => video.addEventListener("ended", end));
  }

  async function usePosters(why) {
    if (posters) return;
    posters = { source: new Image(), files: data.files.map(() => new Image()) };
    pause();
    trouble(`${why}: single pictures stand for the videos. Numbers, tokens over time and tables are all here.`);
    const load = (image, id) => { image.src = $(id).textContent; return image.decode().catch(() => {}); };
    await Promise.all(data.files.map((one, place) => load(posters.files[place], one.poster)));
    if (data.source) await load(posters.source, data.source.poster);
    $("play").disabled = true;
    setTime(middleOf(data.poster));
  }

  const active = () => posters ? [] : source.video ? [videos[state.file], source.video] : [videos[state.file]];

  async function play() {
    if (posters || state.playing) return;
    if (frameAt(state.t) >= data.frames - 1) setTime(0);
    state.playing = true;
    showPlaying();
    try {
      await Promise.all(active().map((video) => video.play()));
    } catch (error) {
      if (state.playing && error.name !== "AbortError") { pause(); say("The browser did not start to play."); }
    }
    requestAnimationFrame(follow);
  }

  function pause() {
    if (!state.playing) return;
    state.playing = false;
    for (const video of [...videos, source.video]) {
      if (video) { video.pause(); video.playbackRate = 1; }
    }
    showPlaying();
    if (!posters) setTime(videos[state.file].currentTime);
  }

  function follow() {
    if (!state.playing) return;
    state.t = clamp(videos[state.file].currentTime, 0, data.seconds);
    keepInStep();
    if (!videos[state.file].requestVideoFrameCallback) paint();
    showTime();
    requestAnimationFrame(follow);
  }

  // The source runs a little faster or slower until both show the same frame; it jumps if it is far away.
  function keepInStep() {
    const video = source.video;
    if (!video || video.seeking || video.ended) return;
    const behind = videos[state.file].currentTime - video.currentTime;
    if (Math.abs(behind) > 0.3) video.currentTime = videos[state.file].currentTime;
    const pace = Math.abs(behind) > 0.01 ? 1 + clamp(2 * behind, -0.2, 0.2) : 1;
    if (Math.abs(video.playbackRate - pace) > 0.01) video.playbackRate = pace;
  }

  function setTime(seconds) {
    state.t = posters ? middleOf(data.poster) : clamp(seconds, 0, data.seconds);
    for (const video of active()) {
      video.shown = undefined;
      video.currentTime = state.playing ? state.t : middleOf(frameAt(state.t));
    }
    paint();
    showTime();
    remember();
  }

  const step = (frames) => { pause(); setTime(middleOf(clamp(frameAt(state.t) + frames, 0, data.frames - 1))); };

  // ---- pictures ----

  function fill(target, image) {
    // Videos of odd size have a row or column more than the picture; it is left out here.
    const whole = posters ? [image.naturalWidth, image.naturalHeight] : [data.width, data.height];
    target.drawImage(image, 0, 0, ...whole, 0, 0, canvas.width, canvas.height);
  }

  function pictures() {
    if (posters) return [posters.files[state.file], data.source ? posters.source : null];
    return [videos[state.file], source.video || null];
  }

  function isReady([decoded, original]) {
    if (posters) return decoded.naturalWidth && (!original || original.naturalWidth);
    return [decoded, original].every((video) => !video || (video.readyState >= 2 && !video.seeking));
  }

  const shownFrame = () => {
    const video = posters ? null : videos[state.file];
    return state.playing && video.shown !== undefined ? frameAt(video.shown + 0.25 / data.rate) : frameAt(state.t);
  };

  function inStep() {
    if (!state.playing || !source.video) return true;
    const [one, other] = [videos[state.file].shown, source.video.shown];
    if (one === undefined || other === undefined || Math.abs(one - other) < 0.25 / data.rate) return true;
    return performance.now() - lastPaint > 1000 * SHORT_TICK;
  }

  function paint() {
    const [decoded, original] = pictures();
    if (!decoded || !isReady([decoded, original]) || !inStep()) return;
    lastPaint = performance.now();
    const frame = shownFrame();
    context.globalCompositeOperation = "source-over";
    fill(context, decoded);
    if (state.view === "difference" && original) drawDifference(decoded, original);
    if (state.view === "heat") drawHeat(frame);
    if (isLost(frame)) drawHatch();
    if (hasDivider()) {
      context.save();
      context.beginPath();
      context.rect(0, 0, state.x * canvas.width, canvas.height);
      context.clip();
      fill(context, original || decoded);
      if (isLost(frame) && !original) drawHatch();
      context.restore();
    }
    showLabels(frame);
    canvas.dataset.frame = frame;
  }

  function drawDifference(decoded, original) {
    work.width = canvas.width;
    work.height = canvas.height;
    const difference = work.getContext("2d");
    fill(difference, original);
    difference.globalCompositeOperation = "difference";
    fill(difference, decoded);
    difference.globalCompositeOperation = "lighter";
    difference.drawImage(work, 0, 0);
    difference.drawImage(work, 0, 0);
    context.drawImage(work, 0, 0);
  }

  function drawHeat(frame) {
    const planes = heat[state.file];
    if (!planes) return;
    context.globalCompositeOperation = "saturation";
    context.fillStyle = "#808080";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = "source-over";
    const place = placeOf(planes.ends, frame);
    if (planes.lost.has(place)) return;
    context.globalAlpha = data.heat.share;
    context.imageSmoothingEnabled = false;
    // Blocks at the right and lower edge may reach beyond the picture.
    const across = planes.columns * data.heat.block * canvas.width / data.width;
    const down = planes.rows * data.heat.block * canvas.height / data.height;
    context.drawImage(planes.picture(place), 0, 0, across, down);
    context.globalAlpha = 1;
    context.imageSmoothingEnabled = true;
  }

  function drawHatch() {
    const { width, height } = canvas;
    const gap = Math.max(8, height / 12);
    context.strokeStyle = "#f08a7a";
    context.lineWidth = gap / 5;
    context.beginPath();
    for (let x = -height; x < width; x += gap) { context.moveTo(x, height); context.lineTo(x + height, 0); }
    context.stroke();
  }

  // ---- heat ----

  const heat = [];

  function placeOf(ends, frame) {
    let low = 0, high = ends.length - 1;
    while (low < high) { const middle = (low + high) >> 1; if (ends[middle] > frame) high = middle; else low = middle + 1; }
    return low;
  }

  const runningSum = (counts) => { let sum = 0; return counts.map((count) => (sum += count)); };

  async function openHeat(one) {
    const { rows, columns, shares, frames, lost } = one.planes;
    const text = atob(shares);
    const packed = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const nibbles = new Uint8Array(await new Response(stream).arrayBuffer());
    const small = document.createElement("canvas");
    small.width = columns;
    small.height = rows;
    let drawn = -1;
    function picture(place) {
      if (place === drawn) return small;
      drawn = place;
      const target = small.getContext("2d");
      const pixels = target.createImageData(columns, rows);
      for (let block = 0; block < rows * columns; block++) {
        const at = place * rows * columns + block;
        const eighths = at % 2 ? nibbles[at >> 1] & 15 : nibbles[at >> 1] >> 4;
        pixels.data.set([...data.heat.colours[eighths], 255], 4 * block);
      }
      target.putImageData(pixels, 0, 0);
      return small;
    }
    return { rows, columns, ends: runningSum(frames), lost: new Set(lost), picture };
  }

  async function openAllHeat() {
    try {
      for (const [place, one] of data.files.entries()) heat[place] = await openHeat(one);
      paint();
    } catch {
      $("heat").disabled = true;
      trouble("This browser is too old for the heat map.");
    }
  }

  // ---- what stands around the picture ----

  const hasDivider = () => Boolean(data.source) || state.view === "heat";

  const isLost = (frame) =>
    file().lost.some(([start, end]) => startOf(frame) >= start - 1e-6 && startOf(frame) < end - 1e-6);

  function labels(frame) {
    const decibels = file().psnrs ? ` · ${file().psnrs[frame].toFixed(1)} dB` : "";
    const right = { picture: "decoded", difference: "difference ×4", heat: "where the tokens went" }[state.view];
    return [
      hasDivider() ? (data.source ? "source" : "decoded") : "",
      (isLost(frame) ? `${right}: lost, a good frame stands here` : right) + decibels,
    ];
  }

  function showLabels(frame) {
    const [left, right] = labels(frame);
    if ($("left").textContent !== left) $("left").textContent = left;
    if ($("right").textContent !== right) $("right").textContent = right;
    if (!state.playing) {
      const sides = left ? `left of the divider ${left}, right of it ${right}` : right;
      canvas.setAttribute("aria-label", `Frame ${frame} of 0 to ${data.frames - 1}: ${sides}`);
    }
  }

  function showView() {
    for (const view of ["difference", "heat"]) $(view).setAttribute("aria-pressed", String(state.view === view));
    $("difference").hidden = !data.source;
    $("scale").hidden = state.view !== "heat";
    $("divider").hidden = !hasDivider();
    showDivider();
  }

  function showDivider() {
    const divider = $("divider"), share = Math.round(100 * state.x), left = data.source ? "source" : "decoded";
    $("stage").style.setProperty("--x", state.x);
    divider.setAttribute("aria-label", `Divider: ${left} on its left`);
    divider.setAttribute("aria-valuenow", share);
    divider.setAttribute("aria-valuetext", `${share} % ${left}`);
  }

  function showPlaying() { $("play").textContent = state.playing ? "Pause" : "Play"; }

  function showTime() {
    const frame = frameAt(state.t), place = placeOf(steps.ends, frame);
    const share = Math.round(100 * file().rates[place]);
    $("clock").textContent = `${state.t.toFixed(2)} s of ${data.seconds.toFixed(2)} s · frame ${frame}`;
    const timeline = $("timeline"), second = Math.floor(state.t);
    moveHead();
    markRow();
    if (state.playing && second === spokenSecond) return; // not sixty times a second
    spokenSecond = second;
    timeline.setAttribute("aria-valuemax", data.seconds.toFixed(2));
    timeline.setAttribute("aria-valuenow", state.t.toFixed(2));
    timeline.setAttribute("aria-valuetext", `${state.t.toFixed(2)} s of ${data.seconds.toFixed(2)} s, ${share} % of positions kept`);
  }

  function showFile() {
    document.querySelectorAll("#files button").forEach((button, place) =>
      button.setAttribute("aria-pressed", String(place === state.file)));
    $("name").textContent = document.title = file().name;
    $("headline").textContent = file().headline;
    steps.ends = runningSum(file().stepFrames);
    drawTimeline();
    drawBytes();
    fillRows();
    drawCurves();
  }

  function choose(place) {
    if (place === state.file || !data.files[place]) return;
    const wasPlaying = state.playing;
    if (wasPlaying) pause();
    state.file = place;
    showFile();
    setTime(state.t);
    if (wasPlaying) play();
  }

  const say = (text) => { $("status").textContent = text; };
  function trouble(text) { $("trouble").textContent = text; $("trouble").hidden = false; }

  // ---- tokens over time ----

  const steps = { ends: [], width: 0, floor: 0 };
  const CHART = { left: 44, right: 10, top: 8, bottom: 22 };

  function niceStep(span, most) {
    const rough = span / most, power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999);
  }

  const inWords = (value, step) => value.toFixed(Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
  const atX = (seconds) => CHART.left + steps.width * seconds / data.seconds;

  function drawTimeline() {
    const box = $("timeline"), whole = box.clientWidth, high = box.clientHeight;
    if (!whole) return;
    steps.width = whole - CHART.left - CHART.right;
    steps.floor = high - CHART.bottom;
    const svg = element("svg", { viewBox: `0 0 ${whole} ${high}`, "aria-hidden": "true" });
    // Leads show nothing and are not drawn.
    const top = Math.max(0, ...file().rates.filter((rate, place) => steps.ends[place] > (steps.ends[place - 1] ?? 0))) || 1;
    let line = `M${CHART.left} ${steps.floor}`, x = CHART.left;
    steps.ends.forEach((end, place) => {
      const y = steps.floor - (steps.floor - CHART.top) * file().rates[place] / top;
      const next = atX(startOf(end));
      line += `L${x.toFixed(1)} ${y.toFixed(1)}L${next.toFixed(1)} ${y.toFixed(1)}`;
      x = next;
    });
    line += `L${x.toFixed(1)} ${steps.floor}Z`;
    const defs = element("defs"), clip = element("clipPath", { id: "gone" });
    clip.append(element("rect", { id: "gone-by", x: 0, y: 0, width: 0, height: high }));
    const pattern = element("pattern", { id: "hatching", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    pattern.append(element("line", { x1: 0, y1: 0, x2: 0, y2: 8, class: "hatch" }));
    defs.append(clip, pattern);
    svg.append(defs, element("path", { d: line, class: "rest" }), element("path", { d: line, class: "done", "clip-path": "url(#gone)" }));
    for (const [start, end] of file().lost) {
      svg.append(element("rect", { x: atX(start), y: CHART.top, width: atX(end) - atX(start), height: steps.floor - CHART.top, fill: "url(#hatching)" }));
    }
    svg.append(element("path", { d: `M${CHART.left} ${CHART.top}V${steps.floor}H${whole - CHART.right}`, class: "axis" }));
    drawTimes(svg, whole, high);
    svg.append(element("text", { x: CHART.left - 6, y: CHART.top + 9, "text-anchor": "end" }, `${Math.round(100 * top)} %`));
    svg.append(element("text", { x: CHART.left - 6, y: steps.floor, "text-anchor": "end" }, "0"));
    svg.append(element("line", { id: "head", class: "head", y1: CHART.top - 4, y2: steps.floor + 4 }));
    box.replaceChildren(svg);
    moveHead();
  }

  function drawTimes(svg, whole, high) {
    const step = niceStep(data.seconds, Math.max(2, steps.width / 80));
    for (let number = 0; number * step <= data.seconds * 1.0001; number++) {
      const x = atX(number * step);
      svg.append(element("line", { x1: x, x2: x, y1: steps.floor, y2: steps.floor + 4, class: "axis" }));
      if (x > whole - 24) continue;
      svg.append(element("text", { x, y: high - 4, "text-anchor": "middle" }, `${inWords(number * step, step)} s`));
    }
  }

  function moveHead() {
    const head = $("head"), x = atX(state.t).toFixed(2);
    if (!head) return;
    head.setAttribute("x1", x);
    head.setAttribute("x2", x);
    $("gone-by").setAttribute("width", x);
  }

  function seekTo(event) {
    const box = $("timeline").getBoundingClientRect();
    setTime(clamp((event.clientX - box.left - CHART.left) / steps.width, 0, 1) * data.seconds);
  }

  // ---- segments ----

  const COLUMNS = ["segment", "start s", "end s", "positions", "tokens", "rate", "map B", "motion B", "token B"];
  const order = { column: 0, descending: false };
  let rows = [];
  let marked;

  function fillHead() {
    const row = document.querySelector("#segments thead tr");
    COLUMNS.forEach((name, column) => {
      const cell = element("th", { scope: "col", "aria-sort": "none" });
      const button = element("button", { type: "button" }, name);
      button.addEventListener("click", () => {
        order.descending = order.column === column && !order.descending;
        order.column = column;
        fillRows();
      });
      cell.append(button);
      row.append(cell);
    });
  }

  const cellText = (value, column) =>
    [1, 2, 5].includes(column) ? value.toFixed(3) : column ? grouped(value) : String(value);

  function fillRows() {
    document.querySelectorAll("#segments th").forEach((cell, column) =>
      cell.setAttribute("aria-sort", column !== order.column ? "none" : order.descending ? "descending" : "ascending"));
    const sign = order.descending ? -1 : 1;
    const sorted = [...file().segments].sort((one, other) =>
      sign * (one[order.column] - other[order.column]) || one[0] - other[0]);
    rows = sorted.map((values) => {
      const row = element("tr");
      const lost = file().lost.some(([start]) => start === values[1]);
      if (lost) row.classList.add("lost");
      values.forEach((value, column) => {
        const cell = element("td");
        if (column) cell.textContent = lost && COLUMNS[column] === "tokens" ? "lost" : cellText(value, column);
        else cell.append(segmentButton(values));
        row.append(cell);
      });
      return { row, start: values[1], end: values[2] };
    });
    document.querySelector("#segments tbody").replaceChildren(...rows.map(({ row }) => row));
    markRow();
  }

  function segmentButton([number, start]) {
    const button = element("button", { type: "button", "aria-label": `Go to segment ${number} at ${start.toFixed(3)} s` }, String(number));
    button.addEventListener("click", () => setTime(middleOf(frameAt(start))));
    return button;
  }

  function markRow() {
    const now = middleOf(frameAt(state.t));
    const here = rows.find(({ start, end }) => now >= start && now < end);
    if (here === marked) return;
    if (marked) marked.row.removeAttribute("aria-current");
    if (here) here.row.setAttribute("aria-current", "true");
    marked = here;
  }

  // ---- bytes ----

  function drawBytes() {
    const total = file().bytes.reduce((sum, [, count]) => sum + count, 0);
    const share = (count) => `${(100 * count / total).toFixed(1)} %`;
    const pieces = [], lines = [];
    file().bytes.forEach(([name, count], place) => {
      const colour = `var(--c${place})`, piece = element("div"), swatch = element("span", { class: "swatch" });
      piece.style.flexGrow = count;
      piece.style.background = swatch.style.background = colour;
      pieces.push(piece);
      const row = element("tr"), first = element("td");
      first.append(swatch, name);
      row.append(first, element("td", {}, grouped(count)), element("td", {}, share(count)));
      lines.push(row);
    });
    const sum = element("tr");
    sum.append(element("td", {}, "all"), element("td", {}, grouped(total)), element("td", {}, share(total)));
    $("bytes-bar").replaceChildren(...pieces);
    document.querySelector("#bytes tbody").replaceChildren(...lines);
    document.querySelector("#bytes tfoot").replaceChildren(sum);
  }

  // ---- quality for bits ----

  function drawCurves() {
    if (!data.curves) return;
    $("curves").hidden = false;
    const box = $("plot"), wide = box.clientWidth, high = box.clientHeight;
    if (!wide) return;
    const own = data.files.map((one, place) => [one.bpp, one.psnr, place]).filter(([, quality]) => quality !== null);
    const all = [...data.curves.lines.flatMap((line) => line.points), ...own];
    const logs = all.map(([bits]) => Math.log2(bits)), qualities = all.map(([, quality]) => quality);
    const span = (values, least) => {
      const low = Math.min(...values), top = Math.max(...values), pad = Math.max(least, 0.06 * (top - low));
      return [low - pad, top + pad];
    };
    const [left, right] = span(logs, 0.2), [bottom, top] = span(qualities, 0.5);
    const x = (bits) => 44 + (wide - 60) * (Math.log2(bits) - left) / (right - left);
    const y = (quality) => high - 40 - (high - 56) * (quality - bottom) / (top - bottom);
    const svg = element("svg", { viewBox: `0 0 ${wide} ${high}`, "aria-hidden": "true" });
    drawGrid(svg, { x, y, left, right, bottom, top, wide, high });
    data.curves.lines.forEach((line, place) => drawCurve(svg, line, place, x, y));
    for (const [bits, quality, place] of own) {
      const point = element("g", { class: "file-point", "data-file": place });
      point.append(
        element("title", {}, `${data.files[place].name}: ${bits.toPrecision(3)} bits per pixel, ${quality.toFixed(2)} dB`),
        element("circle", { cx: x(bits), cy: y(quality), r: 7, class: place === state.file ? "own shown" : "own" }),
        element("text", { x: x(bits) + 10, y: y(quality) - 8, class: "number" }, String(place + 1)));
      svg.append(point);
    }
    box.replaceChildren(svg);
    fillLegend(own);
  }

  function drawGrid(svg, { x, y, left, right, bottom, top, wide, high }) {
    const line = (attributes) => svg.append(element("line", { class: "axis", ...attributes }));
    const step = niceStep(top - bottom, Math.max(2, high / 60));
    for (let number = Math.ceil(bottom / step); number * step <= top; number++) {
      line({ x1: 44, x2: wide - 16, y1: y(number * step), y2: y(number * step) });
      svg.append(element("text", { x: 38, y: y(number * step) + 4, "text-anchor": "end" }, inWords(number * step, step)));
    }
    const every = Math.ceil((right - left) / Math.max(2, wide / 90)) || 1;
    const finer = right - left < 2 ? 0.5 : every;
    for (let power = Math.ceil(left / finer) * finer; power <= right; power += finer) {
      line({ x1: x(2 ** power), x2: x(2 ** power), y1: 16, y2: high - 40 });
      svg.append(element("text", { x: x(2 ** power), y: high - 24, "text-anchor": "middle" }, Number((2 ** power).toPrecision(3))));
    }
    svg.append(element("text", { x: wide / 2, y: high - 6, "text-anchor": "middle" }, "bits per pixel"));
    svg.append(element("text", { x: 6, y: 11 }, "PSNR dB"));
  }

  function drawCurve(svg, line, place, x, y) {
    const colour = `var(--c${place % 6})`;
    const points = line.points.map(([bits, quality]) => `${x(bits).toFixed(1)} ${y(quality).toFixed(1)}`);
    const path = element("path", { d: `M${points.join("L")}`, class: line.ours ? "curve" : "curve anchor" });
    path.style.stroke = colour;
    svg.append(path);
    for (const [bits, quality] of line.points) {
      const dot = element("circle", { cx: x(bits), cy: y(quality), r: 3.5 });
      dot.style.fill = colour;
      dot.append(element("title", {}, `${line.name}: ${bits.toPrecision(3)} bits per pixel, ${quality.toFixed(2)} dB`));
      svg.append(dot);
    }
  }

  function fillLegend(own) {
    const entries = data.curves.lines.map((line, place) => {
      const entry = element("li"), svg = element("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" });
      const path = element("path", { d: "M1 5H25", class: line.ours ? "curve" : "curve anchor" });
      path.style.stroke = `var(--c${place % 6})`;
      svg.append(path);
      entry.append(svg, line.name);
      return entry;
    });
    $("legend").replaceChildren(...entries);
    const marked = own.length ? "Circles with a number are the files of this page." : "With --source the files of this page are marked too.";
    $("curves-about").textContent = `${data.curves.about} ${marked}`;
    const best = data.curves.lines.map((line) => `${line.name}: ${line.points.map(([bits, quality]) => `${quality.toFixed(1)} dB at ${bits.toPrecision(2)}`).join(", ")}`);
    const ours = own.map(([bits, quality, place]) => `file ${place + 1}: ${quality.toFixed(1)} dB at ${bits.toPrecision(2)}`);
    $("plot").setAttribute("aria-label", `PSNR by bits per pixel. ${[...best, ...ours].join("; ")}`);
  }

  // ---- saving a picture ----

  function save() {
    const copy = document.createElement("canvas"), frame = shownFrame();
    copy.width = canvas.width;
    copy.height = canvas.height;
    const pen = copy.getContext("2d"), size = Math.max(11, Math.round(canvas.height / 24)), [left, right] = labels(frame);
    pen.drawImage(canvas, 0, 0);
    if (hasDivider()) { pen.fillStyle = "#fff"; pen.fillRect(state.x * copy.width - 1, 0, 2, copy.height); }
    pen.font = `${size}px system-ui, sans-serif`;
    pen.textBaseline = "bottom";
    const write = (text, x) => {
      if (!text) return;
      const wide = pen.measureText(text).width + size;
      const start = clamp(x(wide), 0, Math.max(0, copy.width - wide));
      pen.fillStyle = "rgb(0 0 0 / .62)";
      pen.fillRect(start, copy.height - 1.5 * size, wide, 1.5 * size);
      pen.fillStyle = "#fff";
      pen.fillText(text, start + size / 2, copy.height - 0.2 * size);
    };
    write(left, () => 0);
    write(right, (wide) => copy.width - wide);
    const name = `${file().name.replace(/\.itk$/i, "").replace(/[^\w.-]+/g, "_")}-${state.t.toFixed(2)}s-${state.view}.png`;
    try {
      copy.toBlob((blob) => {
        const link = element("a", { download: name, href: URL.createObjectURL(blob) });
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 10000);
        say(`Saved as ${name}`);
      });
    } catch {
      say("The browser saves no picture of videos that lie beside a page opened from disk: take a screenshot, or open the page through a web server.");
    }
  }

  // ---- the address ----

  let rememberLater = 0;

  function remember() {
    clearTimeout(rememberLater);
    rememberLater = setTimeout(() => {
      const parts = [`t=${+state.t.toFixed(3)}`, `x=${+state.x.toFixed(3)}`, `view=${state.view}`, `file=${state.file + 1}`];
      try { history.replaceState(null, "", `#${parts.join("&")}`); } catch { /* browsers limit how often */ }
    }, state.playing ? 500 : 100);
  }

  function recall() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const number = (name, low, high, otherwise) => {
      const value = wanted.get(name) ? Number(wanted.get(name)) : NaN;
      return Number.isFinite(value) ? clamp(value, low, high) : otherwise;
    };
    const view = wanted.get("view");
    if (["picture", "heat"].includes(view) || (view === "difference" && data.source)) state.view = view;
    state.x = number("x", 0, 1, state.x);
    state.file = Math.round(number("file", 1, data.files.length, state.file + 1)) - 1;
    return number("t", 0, data.seconds, state.t);
  }

  // ---- hands ----

  function moveDivider(x) {
    state.x = clamp(x, 0, 1);
    showDivider();
    paint();
    remember();
  }

  function toggle(view) {
    if (view === "difference" && !data.source) return;
    state.view = state.view === view ? "picture" : view;
    showView();
    paint();
    remember();
  }

  function drag(target, move) {
    target.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      target.setPointerCapture(event.pointerId);
      move(event);
    });
    target.addEventListener("pointermove", (event) => { if (target.hasPointerCapture(event.pointerId)) move(event); });
  }

  const onStage = (event) => {
    const box = $("stage").getBoundingClientRect();
    if (hasDivider()) moveDivider((event.clientX - box.left) / box.width);
  };

  function onDividerKey(event) {
    const far = event.shiftKey ? 0.1 : 0.01;
    const places = {
      ArrowLeft: state.x - far, ArrowDown: state.x - far, ArrowRight: state.x + far, ArrowUp: state.x + far,
      PageDown: state.x - 0.1, PageUp: state.x + 0.1, Home: 0, End: 1,
    };
    if (!(event.key in places)) return;
    moveDivider(places[event.key]);
    event.preventDefault();
    event.stopPropagation();
  }

  function onTimelineKey(event) {
    const places = {
      ArrowDown: state.t - 1, ArrowUp: state.t + 1, PageDown: state.t - 5, PageUp: state.t + 5, Home: 0, End: data.seconds,
    };
    if (!(event.key in places)) return;
    setTime(places[event.key]);
    event.preventDefault();
    event.stopPropagation();
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onButton = event.target.closest && event.target.closest("button, summary, a");
    const scrolls = event.target.closest && event.target.closest("#scroller");
    const actions = {
      d: () => toggle("difference"), h: () => toggle("heat"), s: save, ",": () => step(-1), ".": () => step(1),
    };
    if (!onButton && !scrolls) {
      actions[" "] = () => (state.playing ? pause() : play());
    }
    if (!scrolls) Object.assign(actions, { ArrowLeft: () => setTime(state.t - 1), ArrowRight: () => setTime(state.t + 1) });
    const digit = /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
    if (digit) return choose(digit - 1);
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  function addFiles() {
    if (data.files.length < 2) return;
    $("files").hidden = false;
    data.files.forEach((one, place) => {
      const button = element("button", { type: "button" }, `${place + 1} · ${one.name}`);
      button.append(element("small", {}, one.short));
      button.addEventListener("click", () => choose(place));
      $("files").append(button);
    });
  }

  function start() {
    canvas.width = data.shownWidth;
    canvas.height = data.height;
    $("stage").style.setProperty("--aspect", data.shownWidth / data.height);
    $("colours").style.background = `linear-gradient(90deg, ${data.heat.scale.map((colour) => `rgb(${colour.join(" ")})`).join(",")})`;
    addFiles();
    fillHead();
    const t = recall();
    showView();
    openVideos();
    openAllHeat();
    showFile();
    setTime(t);
    $("play").addEventListener("click", () => (state.playing ? pause() : play()));
    for (const view of ["difference", "heat"]) $(view).addEventListener("click", () => toggle(view));
    $("save").addEventListener("click", save);
    drag($("stage"), onStage);
    drag($("timeline"), seekTo);
    $("divider").addEventListener("keydown", onDividerKey);
    $("timeline").addEventListener("keydown", onTimelineKey);
    document.addEventListener("keydown", onKey);
    window.addEventListener("hashchange", () => { pause(); const at = recall(); showView(); showFile(); setTime(at); });
    new ResizeObserver(() => { drawTimeline(); drawCurves(); }).observe($("timeline"));
  }

  start();
})();
