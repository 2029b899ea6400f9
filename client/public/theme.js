// Before the first paint, so that a chosen theme does not flash the other one. src/lib/preferences.ts writes what is read here.
try {
  const { theme } = JSON.parse(localStorage.getItem('pnl-preferences') ?? '{}');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Without storage there is no chosen theme.
}

// The page's addresses begin at the root of its host. Behind a proxy that serves it under a path nothing else would load.
const { pathname } = new URL('.', document.currentScript.src);
if (pathname !== '/') {
  addEventListener('DOMContentLoaded', () => {
    document.body.textContent = `This dashboard cannot be served under ${pathname}. Give it a host name of its own and pass that name's / to the server; deploy/README.md says how.`;
  });
}
