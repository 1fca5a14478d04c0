-- Reads the head of the repository behind the connection "library", and of one other ref.
--
--   weir run flows/examples/library.lua --connections flows/examples/connections -i ref=v2

local library = connect("library").output
log.info("head", { sha = library.short_sha, author = library.author_name })

if not input.ref then
  return { head = library }
end

local other = connect("library", { ref = input.ref }).output
return { head = library, [input.ref] = other }
