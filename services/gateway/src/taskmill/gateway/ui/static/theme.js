// Before anything is drawn: what was chosen, or else what the system has.
const chosen = localStorage.getItem("taskmill-theme");
const isDark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.dataset.theme = isDark ? "dark" : "light";
