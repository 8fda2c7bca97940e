//! An OpenAI-compatible endpoint over the Claude Code CLI.
