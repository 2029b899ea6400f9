// Before the first paint, so that a chosen theme does not flash the other one. src/lib/preferences.ts writes what is read here.
try {
  const { theme } = JSON.parse(localStorage.getItem('pnl-preferences') ?? '{}');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Without storage there is no chosen theme.
}
