// Takes the page's main part anew every 15 s. Where that fails the page says so by fading: its ages are old then.
"use strict";
setInterval(async () => {
  if (document.querySelector("details[open]") || document.hidden) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const focused = document.activeElement && document.activeElement.getAttribute("href");
    document.querySelector("main").replaceWith(page.querySelector("main"));
    if (focused) {
      const again = document.querySelector(`main a[href="${CSS.escape(focused)}"]`);
      if (again) again.focus();
    }
    document.body.classList.remove("lost");
  } catch (error) {
    document.body.classList.add("lost");
  }
}, 15000);
