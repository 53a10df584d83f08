"""Tables and pages: Markdown, LaTeX, HTML, and the command behind each number."""
