-- publish: puts packed messages into the stream, each exactly once.
--
-- ARGV: 1 node id, 2 incarnation, 3 epoch, 4 producer, 5 messages to keep, 6 bytes that the stream may hold, 7 the server process
--   of the connection or '', then per entry: first producer seq, count, body
-- Returns: [status, now, mark's producer seq, mark's message seq, first seq (0: nothing was written), bytes held, bytes that it may
--   hold (0: Redis itself is full), member that has not acknowledged them or '']; status is one of identify()'s, 'mark' when the
--   first entry begins at or below the producer's mark, or there is none: then nothing is written, and the caller drops what the
--   mark covers, or 'full': nothing was written, because members need what there is. An entry of no messages is passed over.
-- Atomic, because numbers, stream and mark change together: a resend after a lost reply or a kill -9 finds its mark.
local id, incarnation, epoch, producer, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local FIRST = 8
load_meta()
-- A connection always reaches the same process, so the run_id is known without INFO, whose text is long.
own_run_id = ARGV[7] ~= '' and ARGV[7] or nil
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
if not ARGV[FIRST] or tonumber(ARGV[FIRST]) <= tonumber(mark) then
  return { 'mark', int(now), mark, mark_seq, '0', '0', '0', '' }
end

local full = is_full()
local coming = 0
for at = FIRST, #ARGV, 3 do
  coming = coming + (tonumber(ARGV[at + 1]) > 0 and #ARGV[at + 2] + ENTRY or 0)
end

local bound = bounded(tonumber(ARGV[6]), 2, full)

-- One sender may use three quarters of the room, so that others can send. A batch is always accepted if there is nothing else.
local function has_room()
  local held, own = bytes_held(), bytes_of(producer)
  return held == 0 or held + coming <= bound and (own == 0 or own + coming <= math.floor(bound * 3 / 4))
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
    return { 'full', int(now), mark, mark_seq, '0', int(bytes_held()), full and '0' or int(bound), who or '' }
  end
end

local last = math.max(meta.message_seq, meta.message_lift)
local first = last + 1
local written = {}
-- The first entry after skipped numbers says so: a reader that has read up to `message_seq` sees no gap.
local after = {}
if last > meta.message_seq then
  after = { 'l', int(meta.message_seq) }
  call('HMSET', META, 'lift_from', int(meta.message_seq), 'lift_to', int(last))
  meta.lift_to = last
end
for at = FIRST, #ARGV, 3 do
  local count = tonumber(ARGV[at + 1])
  if count > 0 then
    local fields = { 'p', producer, 'n', id, 'q', ARGV[at], 'c', int(count), 't', int(now), unpack(after) }
    -- The body must be the last field: messages/trim.lua expects it there.
    fields[#fields + 1], fields[#fields + 2], after = 'b', ARGV[at + 2], {}
    append(MESSAGES, last, int(last + count) .. '-0', unpack(fields))
    last = last + count
    written[#written + 1] = { last, #ARGV[at + 2] + ENTRY }
    mark = int(tonumber(ARGV[at]) + count - 1)
  end
end
call('HSET', META, 'message_seq', int(last))
call('HSET', PRODUCERS, producer, mark .. ' ' .. int(last))

if #written > 0 then
  note_runs(producer, written)
end

-- Keep `keep` messages, and up to 100 times as many for members whose backlog is kept. Messages of an earlier data set, and those
-- from before skipped numbers, are removed once there are enough later ones.
local function all_but(count)
  return last - count > math.max(meta.message_start, meta.lift_to) and last - count or 0
end
local floor = all_but(keep)
if floor > 0 then
  -- nil: more members that are away for over an hour must be passed over first; the next call continues with them.
  local who, needed = slowest()
  if who then
    trim(math.max(all_but(100 * keep), math.min(floor, needed)), TRIMMED + #written)
  end
end
return { 'ok', int(now), mark, int(last), int(first), '0', '0', '' }
