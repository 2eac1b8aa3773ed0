// Takes the page's main part anew every 3 s, while somebody sees it. Where that fails the page says so and fades.
"use strict";
setInterval(async () => {
  if (document.hidden) return;
  const note = document.querySelector(".lost-note");
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main"), old = document.querySelector("main");
    if (!answer.ok || !fresh) throw new Error(answer.status);
    if (fresh.innerHTML !== old.innerHTML) {
      const focused = document.activeElement && old.contains(document.activeElement) && document.activeElement.getAttribute("href");
      const shifts = [...old.querySelectorAll(".wide")].map((box) => box.scrollLeft);
      old.replaceChildren(...fresh.childNodes);
      old.querySelectorAll(".wide").forEach((box, n) => { box.scrollLeft = shifts[n] || 0; });
      const again = focused && old.querySelector(`a[href="${CSS.escape(focused)}"]`);
      if (again) again.focus();
    }
    document.body.classList.remove("lost");
    note.hidden = true;
  } catch (error) {
    document.body.classList.add("lost");
    note.hidden = false;
  }
}, 3000);
