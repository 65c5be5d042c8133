// Turns a picture of a 3D model into the model itself when it is first dragged. The numbers mirror cloud.py.
(() => {
  "use strict";
  const RANGE = 4, DISTANCE = 4, EDGES = [[0, 1], [0, 2], [0, 3], [0, 4], [1, 2], [2, 3], [3, 4], [4, 1]];

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const places = (text) => Float32Array.from(new Uint16Array(bytes(text).buffer), (v) => (v / 65535 * 2 - 1) * RANGE);

  function wake(box) {
    const points = places(box.dataset.points), cameras = places(box.dataset.cameras), colors = bytes(box.dataset.colors);
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(box.clientWidth * ratio), height = Math.round(box.clientHeight * ratio);
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const pen = canvas.getContext("2d"), image = pen.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer), nearest = new Float32Array(width * height);
    const sky = pen.createLinearGradient(0, 0, 0, height);
    sky.addColorStop(0, "rgb(28, 36, 46)");
    sky.addColorStop(1, "rgb(12, 16, 22)");
    pen.fillStyle = sky;
    pen.fillRect(0, 0, width, height);
    const empty = new Uint32Array(pen.getImageData(0, 0, width, height).data.buffer);
    const size = Math.max(2, Math.round(width / 560 * 2 * Math.max(1.1, Math.min(2.6, 95 / Math.sqrt(points.length / 3)))));
    let yaw = 0, pitch = 0, zoom = 1, waiting = false;

    function project(values, i) {
      const x = values[i], y = values[i + 1], z = values[i + 2];
      const x1 = Math.cos(yaw) * x + Math.sin(yaw) * z, z1 = Math.cos(yaw) * z - Math.sin(yaw) * x;
      const y1 = Math.cos(pitch) * y - Math.sin(pitch) * z1, depth = DISTANCE + Math.cos(pitch) * z1 + Math.sin(pitch) * y;
      const scale = zoom * box.dataset.zoom * width / 2 * DISTANCE / Math.max(depth, 1e-6);
      return [width / 2 + x1 * scale, height / 2 + y1 * scale, depth];
    }

    function draw() {
      waiting = false;
      pixels.set(empty);
      nearest.fill(Infinity);
      for (let i = 0; i < points.length; i += 3) {
        const [x, y, depth] = project(points, i);
        if (depth < 0.2) continue;
        const color = 0xff000000 | colors[i + 2] << 16 | colors[i + 1] << 8 | colors[i];
        const left = Math.round(x - size / 2), top = Math.round(y - size / 2);
        for (let v = Math.max(top, 0); v < Math.min(top + size, height); v++) {
          for (let u = Math.max(left, 0); u < Math.min(left + size, width); u++) {
            if (depth < nearest[v * width + u]) {
              nearest[v * width + u] = depth;
              pixels[v * width + u] = color;
            }
          }
        }
      }
      pen.putImageData(image, 0, 0);
      pen.strokeStyle = "rgba(255, 178, 76, 0.6)";
      pen.lineWidth = ratio;
      pen.beginPath();
      for (let i = 0; i < cameras.length; i += 15) {
        const ends = [0, 3, 6, 9, 12].map((k) => project(cameras, i + k));
        if (ends.some((end) => end[2] < 0.2)) continue;
        for (const [a, b] of EDGES) {
          pen.moveTo(ends[a][0], ends[a][1]);
          pen.lineTo(ends[b][0], ends[b][1]);
        }
      }
      pen.stroke();
    }

    function later() {
      if (!waiting) requestAnimationFrame(draw);
      waiting = true;
    }

    box.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      yaw -= event.movementX * 0.008;
      pitch = Math.max(-1.5, Math.min(1.5, pitch - event.movementY * 0.008));
      later();
    });
    box.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoom = Math.max(0.3, Math.min(8, zoom * Math.exp(-event.deltaY * 0.002)));
      later();
    }, { passive: false });
    box.addEventListener("dblclick", () => {
      yaw = pitch = 0;
      zoom = 1;
      later();
    });
    box.replaceChildren(canvas);
    box.classList.add("live");
    draw();
  }

  for (const box of document.querySelectorAll(".cloud[data-points]")) {
    box.addEventListener("pointerdown", (event) => {
      if (!box.classList.contains("live")) wake(box);
      box.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
  }
})();
