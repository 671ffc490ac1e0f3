-- once: grants each key to one caller until its TTL has passed, or frees the keys that one request was granted.
--
-- KEYS behind the fixed ones: once:<key> for each key
-- ARGV: node id, request id or '', ttl (ms), give back: 1|0, incarnation of the caller or '' (it withdraws nothing), number of this call among
--   those of its process, supersedes earlier calls with this request id: 1|0, what this server's clock should show by the caller's own or '',
--   jumps forward of it that the caller saw: "<first time after it>:<ms> ..."
-- Returns: [now, [for each key: '' (granted now, or given back now), or "<granted before (1|0)> <node id> <at, server time>"]]
-- Atomic, because a key must be read at the moment at which it was found taken. A repeated request, from the same node with the
-- same request id, is granted again. Giving back frees a key only if this same request was granted it; a free key is reported as
-- taken.
-- Giving back with an incarnation withdraws a call that its caller gave up without an answer. That call may arrive before or after the
-- withdrawal, so the mark says up to which incarnation and number the calls of this request are void: they are granted no free key, and their
-- withdrawals free none. A call that supersedes earlier ones marks all before itself, so that its own grant stays. The previous
-- release has a random name in place of the incarnation: its marks concern only calls under that name.
--
-- A key is taken for its TTL in real time. The server knows only its own clock, which may jump forward. So a key is stored for up to
-- two hours longer than its TTL, together with the TTL, and callers with a clock of their own report jumps, which `meta.jumps`
-- keeps for all. Without such a caller (a cluster that was off, a command without a node) the server's clock counts. Keys of the
-- previous release hold no TTL: they end when they expire.
local id, request, ttl, back = ARGV.node_id, ARGV.request_id, ARGV.ttl, ARGV.give_back == '1'
local incarnation, this, supersedes = ARGV.incarnation, tonumber(ARGV.attempt), ARGV.supersedes == '1'
local value = id .. ' ' .. int(now) .. ' ' .. request .. '\30' .. ttl
local kept = int(ttl + math.min(ttl, 7200000))
local JUMP, AGAIN = 15000, 60000

local jumps, more = {}, false
local function is_known(at, by)
  for _, known in ipairs(jumps) do
    -- Several callers report the same jump.
    if math.abs(known[1] - at) <= AGAIN and math.abs(known[2] - by) <= JUMP then
      return true
    end
  end
end
for at, by in string.gmatch(try('HGET', META, 'jumps') or '', '(%d+):(%d+)') do
  jumps[#jumps + 1] = { tonumber(at), tonumber(by) }
end
for at, by in string.gmatch(ARGV.jumps, '(%d+):(%d+)') do
  if not is_known(tonumber(at), tonumber(by)) then
    jumps[#jumps + 1], more = { tonumber(at), tonumber(by) }, true
  end
end
if more then
  local texts = {}
  for at = math.max(1, #jumps - 7), #jumps do
    texts[#texts + 1] = int(jumps[at][1]) .. ':' .. int(jumps[at][2])
  end
  call('HSET', META, 'jumps', table.concat(texts, ' '))
end
-- A jump that is not recorded yet. (Or this call is late; then no caller waits for its answer.)
local fresh = now - (tonumber(ARGV.expected_time) or now)
if fresh > JUMP and not is_known(now, fresh) then
  jumps[#jumps + 1] = { now, fresh }
end

-- Whether the TTL of a key has passed that was granted at `since`, by the clock of that time.
local function is_over(since, lasts)
  if not lasts then
    return false
  end
  local passed = now - since
  for _, jump in ipairs(jumps) do
    if since <= jump[1] - jump[2] then
      passed = passed - jump[2]
    end
  end
  return passed >= tonumber(lasts)
end

local void = false
if incarnation ~= '' then
  local mark = withdrawn_key(id .. ' ' .. request)
  local of, upto = string.match(try('GET', mark) or '', '^(%S+) (%d+)$')
  if of ~= incarnation then
    local later = of and string.match(of, '^%d+$') and #of <= 16 and tonumber(of) > tonumber(incarnation)
    upto = later and math.huge or -1
  end
  upto = tonumber(upto)
  void = upto >= this
  local reach = back and this or supersedes and this - 1 or -1
  if reach > upto then
    make_way()
    call('SET', mark, incarnation .. ' ' .. int(reach), 'PX', WITHDRAWN_FOR)
  end
end
local answers = {}
for at = FIXED_KEYS + 1, GUARDED and #KEYS - 1 or #KEYS do
  local key = KEYS[at]
  local answer = ''
  if back or void or not call('SET', key, value, 'PX', kept, 'NX') then
    local text = try('GET', key) or ''
    local by, since, before, lasts = string.match(text, '^(%S+) (%d+) (.*)\30(%d+)$')
    if not by then
      by, since, before = string.match(text, '^(%S+) (%d+) (.*)$')
    elseif is_over(tonumber(since), lasts) then
      by = nil
    end
    local same = by == id and request ~= '' and before == request and not (back and void)
    if back and same then
      call('DEL', key)
    elseif by then
      answer = (same and '1 ' or '0 ') .. by .. ' ' .. since
    elseif back or void then
      answer = '0 ' .. id .. ' ' .. int(now)
    else
      -- Its TTL has passed, or its value is malformed.
      call('SET', key, value, 'PX', kept)
    end
  end
  answers[#answers + 1] = answer
end
return { int(now), answers }
