-- Reads the newest commit of the repository behind the connection "library".
--
--   weir run flows/examples/library.lua --connections flows/examples/connections

local library = connect("library")

log.info("head", { sha = library.output.short_sha, author = library.output.author_name })
return { head = library.output }
