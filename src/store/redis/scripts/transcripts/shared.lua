-- Shared by the scripts of transcripts.
--
--   transcript:<session>        stream  id of the server -> n (node id of the appender), a (start of the append's nonce), i (the item's JSON text)
--   transcript_size:<session>   string  "<bytes of the items> <entries> <oldest id> <newest id>"; if it is another stream's, all is counted again
--   transcript_done:<nonce>     string  "<position> <entries>": the answer to an append, for when it is repeated
-- All of them expire. A position is "<id>-<a>": ids alone could come again, after a loss of data and with a clock that was set back. What
-- others wrote into the stream has neither an item nor bytes, but it counts as an entry until it is trimmed.
local TRANSCRIPT = PREFIX .. 'transcript:'

-- The fields of an entry.
local function fields_of(entry)
  local fields = {}
  for at = 1, #entry[2] - 1, 2 do
    fields[entry[2][at]] = entry[2][at + 1]
  end
  return fields
end

local function position_of(entry)
  return entry[1] .. '-' .. (string.match(fields_of(entry).a or '', '^[%w._-]+$') or '')
end

-- Calls `take` with each entry behind the id `after` ('-': with all), oldest first, until it returns false.
local function walk(key, after, take)
  repeat
    local page = try('XRANGE', key, after, '+', 'COUNT', 17) or {}
    for _, entry in ipairs(page) do
      if entry[1] ~= after and not take(entry) then
        return
      end
    end
    after = page[1] and page[#page][1]
  until #page < 17
end
