-- Names that try to be more than text.
local M = {}

M.NAMES = {
  "</script><script>alert(1)</script>",
  '"><img src=x onerror=alert(1)>',
  "'; DROP TABLE tasks; --",
  "]]> <!-- ]]",
  "a&amp;b &lt;c&gt; &#60;",
  'quote " and \\ and \\n and \\\\',
  "n1 --> n2",
  'end"] click n1 href "http://x"',
  "subgraph end",
  "%%{init: {}}%%",
  "#quot; #35; fa:fa-car",
  "__init__ *bold* `code` ~~x~~",
  "1. list",
  "- list",
  "www.example.com http://example.com",
  "line\nbreak\r\ttab",
  "esc \27[31mred\27[0m \7bell",
  "nul \0 byte",
  "bidi \u{202E}txt.exe\u{202C} \u{200F}",
  "invalid \xFF\xFE utf-8 \xC3",
  "zero\u{200B}width\u{FEFF}",
  "separators \u{2028} \u{2029}",
  "宽字符 任务 é ñ 🚀",
  "__proto__",
  "constructor",
  "../../etc/passwd",
  "$(id) `id` ${HOME}",
  "{{7*7}} {%x%}",
  " leading and trailing ",
  ("long name "):rep(102),
}

return M
