"""OpenAI-compatible endpoints: connection, pace and retries, shared by plugins that call one."""
