"""One process that serves memories: REST, MCP, an OpenAI-compatible proxy and web pages."""
