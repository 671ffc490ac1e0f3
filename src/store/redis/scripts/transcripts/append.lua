-- transcript_append: adds items to the copy of a session's transcript, and removes its oldest ones beyond the bounds.
--
-- ARGV: node id, incarnation, session, nonce of the call, whether everything is removed first (1|0), how many items it keeps, how many bytes of items,
--   how long (ms), then the JSON text of each item
-- Returns: [status, position of the newest entry or '', how many entries it holds]
-- Atomic, because the bytes are counted, and a reader must see either the copy before a restart or the one after it. The server makes
-- the ids, which rise within a stream also when its clock goes back; so a restart empties the stream and does not remove it.
if ARGV.restart == '1' and #ARGV < ARGV.items.first then
  make_way()
end
load_meta()
guard_stall()
local status = identify(ARGV.node_id, ARGV.incarnation, '')
if status ~= 'ok' then
  return { status, '', 0 }
end
-- A stream with more entries is another program's: it is removed instead of being counted.
local MOST = 2000
-- How long (ms) the answer is kept for a repeated call; callers repeat for three seconds.
local ANSWER_KEPT_FOR = 60000
local key, size_key, done_key = TRANSCRIPT .. ARGV.session, PREFIX .. 'transcript_size:' .. ARGV.session, PREFIX .. 'transcript_done:' .. ARGV.nonce
local answered, answered_kept = string.match(try('GET', done_key) or '', '^(%S*) (%d+)$')
if answered then
  return { status, answered, tonumber(answered_kept) }
end

local function size_of(entry)
  return #(fields_of(entry).i or '')
end

-- The id of the oldest or newest entry; nil: there is none, or no stream.
local function edge(command, from, to)
  local found = try(command, key, from, to, 'COUNT', 1)
  return found and found[1] and found[1][1]
end

local function edges()
  return (edge('XRANGE', '-', '+') or '') .. ' ' .. (edge('XREVRANGE', '+', '-') or '')
end

if not try('XRANGE', key, '-', '+', 'COUNT', 1) then
  call('DEL', key)
end
local bytes, count = 0, 0
local known_bytes, known_count, known_edges = string.match(try('GET', size_key) or '', '^(%d+) (%d+) (.*)$')
local there = edges()
if known_edges == there then
  bytes, count = tonumber(known_bytes), tonumber(known_count)
else
  walk(key, '-', function(entry)
    bytes, count = bytes + size_of(entry), count + 1
    return count <= MOST
  end)
  if count > MOST then
    call('DEL', key)
    bytes, count = 0, 0
  end
end

-- Removes the oldest entries while `excessive` says so.
local function shorten(excessive)
  walk(key, '-', function(entry)
    if not excessive() then
      return false
    end
    call('XDEL', key, entry[1])
    bytes, count = bytes - size_of(entry), count - 1
    return true
  end)
end
if ARGV.restart == '1' then
  shorten(function()
    return true
  end)
  bytes, count = 0, 0
end

local tag = string.sub(ARGV.nonce, 1, 8)
for at = ARGV.items.first, #ARGV do
  local added = redis.pcall('XADD', key, '*', 'n', ARGV.node_id, 'a', tag, 'i', ARGV[at])
  if type(added) == 'table' and added.err then
    if string.find(added.err, 'equal or smaller', 1, true) or string.find(added.err, 'exhausted', 1, true) then
      -- Another program wrote the last possible id: nothing can be added behind it.
      call('DEL', key)
      bytes, count = 0, 0
    end
    -- Any other cause is an error of this script.
    call('XADD', key, '*', 'n', ARGV.node_id, 'a', tag, 'i', ARGV[at])
  end
  bytes, count = bytes + #ARGV[at], count + 1
end

local most, most_bytes = tonumber(ARGV.keep_items), tonumber(ARGV.keep_bytes)
if count > most or bytes > most_bytes then
  shorten(function()
    return count > 1 and (count > most or bytes > most_bytes)
  end)
end

call('PEXPIRE', key, ARGV.keep_for)
call('SET', size_key, int(bytes) .. ' ' .. int(count) .. ' ' .. edges(), 'PX', ARGV.keep_for)
local newest = call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
local position = newest and position_of(newest) or ''
call('SET', done_key, position .. ' ' .. int(count), 'PX', ANSWER_KEPT_FOR)
return { status, position, count }
