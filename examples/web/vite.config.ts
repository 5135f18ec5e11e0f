import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// The port is fixed because the server allows this origin by its exact name: cors.allowed_origins.
export default defineConfig({
  plugins: [react()],
  server: { host: '127.0.0.1', port: 5173, strictPort: true },
  preview: { host: '127.0.0.1', port: 5173, strictPort: true },
});
