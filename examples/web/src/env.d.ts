interface ImportMetaEnv {
  /** The address of the GraphQL API. */
  readonly VITE_API_URL?: string;
}
