// Stands in for CodeProject.AI Server's /assets/server.js, for the explore.html of its modules: the
// values and the messages that such pages use. The contract is the comment that opens those pages,
// in https://github.com/codeproject/CodeProject.AI-Server. The rest of it is in explorer.js.
"use strict";
(() => {
  const say = (variant) => (status, text) =>
    showLogOutput([status, text].filter(Boolean).join(": "), variant);

  Object.assign(window, {
    apiServiceUrl: location.origin,
    // When and how often pages ask for models:
    serverWarmupSec: 5,
    customModelUpdateFreqSec: 60,
    showError: say("error"),
    showWarning: say("warn"),
    showInfo: say("info"),
    setServerStatus: (text, variant) => showLogOutput(text, variant),
    showCommunication: (active) =>
      document.getElementById("communication")?.classList.toggle("active", Boolean(active)),
  });
})();
