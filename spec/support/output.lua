-- The output handler of the specs: busted's plain one, or the one with check
-- marks on a terminal, with `N passed, N failed` as its last line. Where
-- ASTRUM_SPEC_COUNTS names a file, the three counts are written to it too.

return function(options)
  local busted = require "busted"
  local on_terminal = require("term").isatty(io.stdout)
  local name = on_terminal and "utfTerminal" or "plainTerminal"
  local handler = require("busted.outputHandlers." .. name)(options)

  busted.subscribe({ "exit" }, function()
    local passed = handler.successesCount
    local failed = handler.failuresCount + handler.errorsCount
    local skipped = handler.pendingsCount

    local path = os.getenv "ASTRUM_SPEC_COUNTS"
    if path then
      local file <close> = assert(io.open(path, "w"))
      assert(file:write(string.format("%d %d %d\n", passed, failed, skipped)))
    end

    local tail = skipped > 0 and string.format(", %d skipped", skipped) or ""
    io.write(string.format("%d passed, %d failed%s\n", passed, failed, tail))
    io.flush()
    return nil, true
  end)

  return handler
end
