// The scope: asks for a stretch of waveforms two and a half times a second, and draws it. Frozen, it asks no more by itself.
"use strict";
(() => {
  const root = document.getElementById("scope"), words = root.dataset;
  const waves = document.getElementById("waves"), motion = document.getElementById("motion");
  const says = document.getElementById("scope-says"), list = document.getElementById("scope-list");
  const freeze = document.getElementById("freeze"), seconds = document.getElementById("seconds");
  const earlier = document.getElementById("earlier"), later = document.getElementById("later");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  let frozen = false, shown = null, asking = false;

  const sheet = (canvas) => {
    const scale = devicePixelRatio || 1, box = canvas.getBoundingClientRect();
    canvas.width = Math.round(box.width * scale);
    canvas.height = Math.round(box.height * scale);
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.clearRect(0, 0, box.width, box.height);
    pen.font = "12px system-ui, sans-serif";
    return [pen, box.width, box.height];
  };

  const drawWaves = (view) => {
    const [pen, width, height] = sheet(waves), rows = view.sensors.length, tall = height / rows;
    const x = (scan) => (scan - view.first) / (view.end - view.first) * width;
    view.sensors.forEach((sensor, row) => {
      const top = row * tall, room = tall - 6;
      const low = Math.min(sensor.baseline, ...sensor.low), high = Math.max(sensor.baseline, ...sensor.high);
      const span = Math.max(high - low, 12 * sensor.noise, 20);
      const middle = (high + low) / 2, y = (count) => top + 3 + room / 2 - (count - middle) / span * room * 0.94;
      for (const [start, end, , sign] of sensor.prints) {
        pen.fillStyle = colour(sign > 0 ? "print" : "wrong");
        pen.fillRect(x(start), top + 1, Math.max(2, x(end) - x(start)), tall - 2);
      }
      pen.strokeStyle = colour("good");
      pen.setLineDash([4, 4]);
      pen.beginPath(); pen.moveTo(0, y(sensor.baseline)); pen.lineTo(width, y(sensor.baseline)); pen.stroke();
      pen.setLineDash([]);
      pen.strokeStyle = pen.fillStyle = colour(sensor.state === "ok" ? "accent" : "bad");
      pen.beginPath();
      sensor.low.forEach((value, n) => {
        const at = (n + 0.5) / sensor.low.length * width;
        pen.moveTo(at, y(value) + 0.5);
        pen.lineTo(at, y(sensor.high[n]) - 0.5);
        if (n + 1 < sensor.low.length) pen.lineTo((n + 1.5) / sensor.low.length * width, y(sensor.high[n + 1]));
      });
      pen.stroke();
      if (sensor.type !== "loop") {
        pen.strokeStyle = colour("bad");
        for (const vehicle of view.vehicles) for (const scan of vehicle.expected[row] || []) {
          pen.beginPath(); pen.moveTo(x(scan), top + tall * 0.72); pen.lineTo(x(scan), top + tall - 1); pen.stroke();
        }
      }
      const off = sensor.off_mm === null ? "" : `  ${sensor.off_mm > 0 ? "+" : ""}${sensor.off_mm} mm`;
      const label = `${sensor.name}  ${words[sensor.state]}${off}`;
      pen.globalAlpha = 0.8;
      pen.fillStyle = colour("panel");
      pen.fillRect(2, top + 2, pen.measureText(label).width + 8, 16);
      pen.globalAlpha = 1;
      pen.fillStyle = colour(sensor.state === "ok" ? "ink" : "bad");
      pen.fillText(label, 6, top + 14);
      pen.fillStyle = colour("soft");
      pen.fillText(String(Math.round(high)), width - 48, top + 14);
      pen.fillStyle = colour("line");
      pen.fillRect(0, top + tall - 1, width, 1);
    });
  };

  const drawMotion = (view) => {
    const [pen, width, height] = sheet(motion), scales = view.sensors.filter((sensor) => sensor.type !== "loop");
    const places = scales.map((sensor) => sensor.x_m), from = Math.min(...places) - 0.4, to = Math.max(...places) + 0.4;
    const x = (scan) => (scan - view.first) / (view.end - view.first) * width, y = (m) => height - 6 - (m - from) / (to - from) * (height - 12);
    for (const sensor of scales) {
      pen.strokeStyle = colour("line");
      pen.beginPath(); pen.moveTo(0, y(sensor.x_m)); pen.lineTo(width, y(sensor.x_m)); pen.stroke();
      pen.fillStyle = colour("soft");
      pen.fillText(`${sensor.x_m.toFixed(2)} m`, 6, y(sensor.x_m) - 3);
    }
    pen.strokeStyle = colour("bad");
    for (const vehicle of view.vehicles) for (const axle of vehicle.axles) {
      const way = vehicle.way_m, step = (vehicle.exit_scan - vehicle.way_from_scan) / Math.max(1, way.length - 1);
      pen.beginPath();
      way.forEach((m, n) => pen.lineTo(x(vehicle.way_from_scan + n * step), y(m - axle.way_m)));
      pen.stroke();
    }
    for (const sensor of scales) for (const [, , centroid, sign] of sensor.prints) {
      pen.fillStyle = colour(sign > 0 ? "accent" : "bad");
      pen.beginPath(); pen.arc(x(centroid), y(sensor.x_m), 3.5, 0, 7); pen.fill();
    }
  };

  const tell = (view) => {
    says.textContent = `${view.time.slice(11, 23)} UTC` + (!frozen && view.age_s > 3 ? ` · ${words.old.replace("{age}", Math.round(view.age_s))}` : "")
      + (view.dropped ? ` · ${words.dropped.replace("{n}", view.dropped)}` : "");
    const lines = [];
    for (const sensor of view.sensors) {
      if (sensor.type === "loop") continue;
      const wrong = sensor.prints.filter((print) => print[3] < 0).length;
      if (wrong > sensor.prints.length / 2) lines.push([`${sensor.name}: ${words.wrong}`, true]);
      if (sensor.state !== "ok") lines.push([`${sensor.name}: ${words[sensor.state]}`, true]);
      if (sensor.off_mm !== null && Math.abs(sensor.off_mm) > 30) lines.push([`${sensor.name}: ${words.off.replace("{mm}", sensor.off_mm)}`, true]);
    }
    for (const vehicle of [...view.vehicles].reverse()) {
      const axles = vehicle.axles.map((axle) => `${(axle.load_kg / 1000).toFixed(2)}`).join(" + ");
      lines.push([`${(vehicle.gross_kg / 1000).toFixed(2)} t ± ${(vehicle.gross_sigma_kg / 500).toFixed(2)} = ${axles} · ${(vehicle.speed_mps * 3.6).toFixed(1)} km/h ${vehicle.flags.join(" ")}`, false]);
    }
    list.replaceChildren(...lines.map(([text, bad]) => {
      const item = document.createElement("li");
      item.textContent = text;
      if (bad) item.className = "badly";
      return item;
    }));
  };

  const draw = (view) => { shown = view; drawWaves(view); drawMotion(view); tell(view); };

  const ask = async (end) => {
    if (asking) return;
    asking = true;
    try {
      const columns = Math.min(1600, Math.max(100, Math.round(waves.getBoundingClientRect().width)));
      const query = `seconds=${seconds.value}&columns=${columns}` + (end === undefined ? "" : `&end=${end}`);
      const answer = await fetch(`/lane/${encodeURIComponent(words.lane)}/scope?${query}`, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const view = await answer.json();
      if (view.first === null) says.textContent = words.waiting;
      else if (!frozen || end !== undefined) draw(view);
    } catch (error) {
      says.textContent = words.waiting;
    } finally {
      asking = false;
    }
  };

  const step = (sign) => {
    if (!shown) return;
    const half = Math.round((shown.end - shown.first) / 2);
    ask(Math.min(shown.last, Math.max(shown.oldest + 2 * half, shown.end + sign * half)));
  };
  freeze.addEventListener("click", () => {
    frozen = !frozen;
    freeze.setAttribute("aria-pressed", String(frozen));
    freeze.textContent = frozen ? words.live : words.freeze;
    earlier.disabled = later.disabled = !frozen;
  });
  earlier.addEventListener("click", () => step(-1));
  later.addEventListener("click", () => step(1));
  seconds.addEventListener("change", () => ask(frozen && shown ? shown.end : undefined));
  addEventListener("resize", () => shown && draw(shown));
  setInterval(() => { if (!document.hidden && !frozen) ask(); }, 400);
  ask();

  const save = document.getElementById("save"), saved = document.getElementById("saved");
  if (save) save.addEventListener("click", async () => {
    const token = document.getElementById("token").value;
    const answer = await fetch(`/lane/${encodeURIComponent(words.lane)}/save`, { method: "POST", headers: { "x-borderflow-token": token } });
    if (!answer.ok) { saved.textContent = (await answer.text()).trim(); return; }
    const name = (answer.headers.get("content-disposition") || "").split('"')[1] || "lane.sigmf";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    saved.textContent = words.saved.replace("{name}", name);
  });
})();
