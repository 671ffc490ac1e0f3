-- transcript_read: reads items of the copy of a session's transcript, oldest first. Changes nothing.
--
-- ARGV: session, position to read behind or '', how many
-- Returns: [from the oldest on (1|0), more behind them (1|0), position of the last entry that was looked at or '', [position, node id, JSON text, ...]]
-- Atomic, because whether the position is still there, and what follows it, must belong to one moment. It stops at 2 MiB of items.
local key = TRANSCRIPT .. ARGV.session
local id = string.match(ARGV.after, '^(%d+%-%d+)%-')
local there = id and (try('XRANGE', key, id, id) or {})[1]
local from_start = not there or position_of(there) ~= ARGV.after
local found, bytes, looked, more, last = {}, 0, 0, 0, ''
walk(key, from_start and '-' or id, function(entry)
  local fields = fields_of(entry)
  local item = fields.n and fields.i
  bytes, looked = bytes + #(item or ''), looked + 1
  if #found >= 3 * ARGV.limit or bytes > 2097152 and #found > 0 or looked > 2000 then
    more = 1
    return false
  end
  last = position_of(entry)
  if item then
    found[#found + 1], found[#found + 2], found[#found + 3] = last, fields.n, item
  end
  return true
end)
return { from_start and 1 or 0, more, last, found }
