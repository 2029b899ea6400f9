interface ImportMetaEnv {
  readonly VITE_WS_URL?: string;
  readonly VITE_WS_SECURE?: string;
  readonly VITE_API_URL?: string;
}
