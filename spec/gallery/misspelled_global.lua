local astrum = require "astrum"

prnit("hello")
