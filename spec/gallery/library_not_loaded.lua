task "load" {
  run = function()
    return 1
  end,
}
