-- publish: puts packed messages into the stream, each exactly once.
--
-- ARGV: 1 node id, 2 incarnation, 3 epoch, 4 producer, 5 messages to keep, then per entry: first producer seq, count, body
-- Returns: [status, now, mark's producer seq, mark's message seq, first seq (0: nothing was written)]; status is one of
--   identify()'s, or 'mark' when the first entry begins at or below the producer's mark, or there is none: then nothing is
--   written, and the caller drops what the mark covers. An entry of no messages is passed over.
-- Atomic, because positions, stream and mark move together: a resend after a lost reply or a kill -9 finds its mark.
local id, incarnation, epoch, producer, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
load_meta()
local status = identify(id, incarnation, epoch)
if status ~= 'ok' then
  return { status, int(now), '0', '0', '0' }
end
local mark, mark_seq = string.match(call('HGET', PRODUCERS, producer) or '0 0', '^(%d+) (%d+)$')
if not mark then
  -- Somebody else broke it. Readers know what they had.
  mark, mark_seq = '0', '0'
end
if not ARGV[6] or tonumber(ARGV[6]) <= tonumber(mark) then
  return { 'mark', int(now), mark, mark_seq, '0' }
end
local first = meta.message_seq + 1
local last = meta.message_seq
for at = 6, #ARGV, 3 do
  local count = tonumber(ARGV[at + 1])
  if count > 0 then
    append(MESSAGES, last, int(last + count) .. '-0', 'p', producer, 'n', id, 'q', ARGV[at], 'c', int(count), 't', int(now), 'b', ARGV[at + 2])
    last = last + count
    mark = int(tonumber(ARGV[at]) + count - 1)
  end
end
call('HSET', META, 'message_seq', int(last))
call('HSET', PRODUCERS, producer, mark .. ' ' .. int(last))

-- Keep `keep` messages, and up to 100 times as many for members whose backlog is kept: those online or away for less
-- than an hour. Positions of an earlier data set lie far below; they go when this one alone has enough.
local function all_but(count)
  return last - count > meta.message_start and last - count or 0
end
local floor = all_but(keep)
if floor > 0 then
  local judged = false
  for _ = 1, 8 do
    local slowest = call('ZRANGE', ACKS, 0, 0, 'WITHSCORES')
    local away = slowest[1] and number(call('ZSCORE', AWAY, slowest[1]), nil)
    if away and cluster_now() - away > 3600000 then
      call('ZREM', ACKS, slowest[1])
    else
      if slowest[1] then
        floor = math.max(all_but(100 * keep), math.min(floor, tonumber(slowest[2])))
      end
      judged = true
      break
    end
  end
  -- While there are more of those who are away for longer, the next call goes on with them before anything is trimmed.
  if judged and floor > 0 then
    local old = call('XRANGE', MESSAGES, '-', int(floor) .. '-0', 'COUNT', int(128 + (#ARGV - 5) / 3))
    for at = 1, #old do
      call('XDEL', MESSAGES, old[at][1])
    end
  end
end
return { 'ok', int(now), mark, int(last), int(first) }
