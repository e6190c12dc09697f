std = "lua54"
max_line_length = 100
cache = false
files["spec"] = { std = "+busted" }
files["lua/astrum/astrum.meta.lua"] = { ignore = { "2" } }
exclude_files = { "build*/", "spec/gallery/*.lua" }
