/*
 * Before all else, and in words that any browser reads: where the page itself cannot start, it says so. Not a module, as
 * those are what may fail to load.
 */
(function () {
  "use strict";
  /** @param {Event} event */
  function tell(event) {
    var target = event.target;
    var scripted = event.type === "unhandledrejection" || target === window || target instanceof HTMLScriptElement;
    if (!scripted || document.body === null || document.body.dataset.started === "true") return;
    var title = document.getElementById("cover-title");
    var advice = document.getElementById("cover-advice");
    if (title === null || advice === null) return;
    title.textContent = "The page cannot start";
    advice.textContent =
      "A part of it did not load, or this browser is too old for it. Reload it, or open it in an up-to-date Chrome, Edge, " +
      "Firefox or Safari.";
    var button = document.getElementById("cover-button");
    if (!(button instanceof HTMLButtonElement)) return;
    button.textContent = "Reload";
    button.disabled = false;
    button.onclick = function () {
      location.reload();
    };
  }
  addEventListener("error", tell, true);
  addEventListener("unhandledrejection", tell);
})();
