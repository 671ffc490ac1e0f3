-- publish: puts packed messages into the stream, each exactly once.
--
-- ARGV: node id, incarnation, epoch, producer, messages to keep, bytes that the stream may hold, the server process
--   of the connection or '', then per entry: first producer seq, count, body
-- Returns: [status, now, mark's producer seq, mark's message seq, first seq (0: nothing was written), bytes held, bytes that it may
--   hold (0: Redis itself is full), member that has not acknowledged them or '']; status is one of identify()'s, 'mark' when the
--   first entry begins at or below the producer's mark, or there is none: then nothing is written, and the caller drops what the
--   mark covers, or 'full': nothing was written, because members need what there is. An entry of no messages is passed over.
-- Atomic, because numbers, stream and mark change together: a resend after a lost reply or a kill -9 finds its mark.
local id, incarnation, epoch, producer, keep = ARGV.node_id, ARGV.incarnation, ARGV.epoch, ARGV.producer, tonumber(ARGV.keep)
load_meta()
-- A connection always reaches the same process, so the run_id is known without INFO, whose text is long.
own_run_id = ARGV.server ~= '' and ARGV.server or nil
if meta.run_id ~= run_id() then
  make_way()
  guard_stall()
end
local status = identify(id, incarnation, epoch)
if status ~= 'ok' then
  return { status, int(now), '0', '0', '0', '0', '0', '' }
end
local mark, mark_seq = string.match(call('HGET', PRODUCERS, producer) or '0 0', '^(%d+) (%d+)$')
if not mark then
  -- The mark is malformed: start over. Readers skip what they have received already.
  mark, mark_seq = '0', '0'
end
local first_own = tonumber(ARGV[ARGV.entries.first])
if not first_own or first_own <= tonumber(mark) then
  return { 'mark', int(now), mark, mark_seq, '0', '0', '0', '' }
end

local full = is_full()
local coming = 0
for at = ARGV.entries.first, #ARGV, ARGV.entries.size do
  coming = coming + (tonumber(ARGV[at].count) > 0 and #ARGV[at].body + ENTRY or 0)
end

local bound = bounded(tonumber(ARGV.max_bytes), 2, full)

local newest_run
-- One sender may use three quarters of the room, so that others can send. A batch is always accepted if there is nothing else.
local function has_room()
  local held, most = nil, math.floor(bound * 3 / 4)
  held, newest_run = bytes_held()
  if held == 0 or held + coming <= most then
    return true
  end
  local own = held + coming <= bound and bytes_of(producer)
  return own and (own == 0 or own + coming <= most)
end

if full or not has_room() then
  make_way()
  local who, needed = trim_acknowledged()
  if full or not has_room() then
    if who and who ~= '' and needed < meta.message_seq then
      -- A member whose cursor has not moved for an hour while others wait for it no longer holds them up.
      local known, at, since = string.match(call('HGET', META, 'stuck') or '', '^(%S+) (%d+) (%-?%d+)$')
      if known ~= who or at ~= int(needed) then
        call('HSET', META, 'stuck', who .. ' ' .. int(needed) .. ' ' .. int(cluster_now()))
      elseif cluster_now() - tonumber(since) > HOUR then
        call('ZREM', ACKS, who)
      end
    end
    return { 'full', int(now), mark, mark_seq, '0', int((bytes_held())), full and '0' or int(bound), who or '' }
  end
end

local last = math.max(meta.message_seq, meta.message_lift)
local first = last + 1
local written = {}
-- The first entry after skipped numbers says so: a reader that has read up to `message_seq` sees no gap.
local after = {}
if last > meta.message_seq then
  after = { 'l', int(meta.message_seq) }
  if meta.lift_to > 0 then
    -- A caller that knows one of those numbers may come only after several changes of the server process.
    local lifts = (try('HGET', META, 'lifts') or '') .. ' ' .. int(meta.lift_from) .. '-' .. int(meta.lift_to)
    local _, count = string.gsub(lifts, '%d+%-%d+', '')
    call('HSET', META, 'lifts', count > 16 and string.gsub(lifts, '^ *%S+', '') or lifts)
  end
  call('HMSET', META, 'lift_from', int(meta.message_seq), 'lift_to', int(last))
  meta.lift_to = last
end
for at = ARGV.entries.first, #ARGV, ARGV.entries.size do
  local count = tonumber(ARGV[at].count)
  if count > 0 then
    local fields = { 'p', producer, 'n', id, 'q', ARGV[at].first_own, 'c', int(count), 't', int(now), unpack(after) }
    -- The body must be the last field: messages/trim.lua expects it there.
    fields[#fields + 1], fields[#fields + 2], after = 'b', ARGV[at].body, {}
    append(MESSAGES, last, int(last + count) .. '-0', unpack(fields))
    last = last + count
    written[#written + 1] = { last, #ARGV[at].body + ENTRY }
    mark = int(tonumber(ARGV[at].first_own) + count - 1)
  end
end
call('HSET', META, 'message_seq', int(last))
call('HSET', PRODUCERS, producer, mark .. ' ' .. int(last))

if #written > 0 then
  note_runs(producer, written, newest_run)
end

-- Keep `keep` messages, and up to 100 times as many for members whose backlog is kept. Messages of an earlier data set, and those
-- from before skipped numbers, are removed once there are enough later ones.
local function all_but(count)
  return last - count > math.max(meta.message_start, meta.lift_to) and last - count or 0
end
local floor = all_but(keep)
-- Not with each single message, since that costs as much as the message: at most a sixteenth more than `keep`, or 15, stay for a while.
local step = math.max(1, math.min(16, math.floor(keep / 16)))
if floor > 0 and math.floor(last / step) > math.floor((first - 1) / step) then
  -- nil: more members that are away for over an hour must be passed over first; the next call continues with them.
  local who, needed = slowest()
  if who then
    trim(math.max(all_but(100 * keep), math.min(floor, needed)), TRIMMED + #written)
  end
end
return { 'ok', int(now), mark, int(last), int(first), '0', '0', '' }
