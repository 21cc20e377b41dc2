"""The MCP server: what agents may ask of a project, over stdio."""
