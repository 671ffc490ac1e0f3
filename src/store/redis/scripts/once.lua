-- once: grants each key to one caller until its time has passed, or frees what one request was granted.
--
-- KEYS behind the fixed ones: once:<key> for each key
-- ARGV: 1 node id, 2 request id or '', 3 ttl (ms), 4 give back: 1|0, 5 process of the caller or '', 6 number of this call among those of
--   that process, 7 supersedes earlier calls with this request id: 1|0
-- Returns: [now, [for each key: '' (granted now, or given back now), or "<granted before (1|0)> <node id> <at, server time>"]]
-- Atomic, because a key must be read in the moment in which it was found taken. A request that comes again, by the same
-- node with the same request id, is granted again. Giving back frees a key only if this very request was granted it; a free
-- key is answered as another's.
-- Giving back with a process withdraws a call that its caller gave up without an answer. It may arrive before the withdrawal or
-- behind it, so the mark says up to which number calls of this request are void: they are granted no free key, and their withdrawals
-- free none. A call that supersedes earlier ones marks all before itself, so that what it is granted stays.
local id, request, ttl, back = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local process, this, supersedes = ARGV[5], tonumber(ARGV[6]), ARGV[7] == '1'
local value = id .. ' ' .. int(now) .. ' ' .. request
local void = false
if process ~= '' then
  local mark = withdrawn_key(id .. ' ' .. request)
  local of, upto = string.match(try('GET', mark) or '', '^(%S+) (%d+)$')
  upto = of == process and tonumber(upto) or -1
  void = upto >= this
  local reach = back and this or supersedes and this - 1 or -1
  if reach > upto then
    make_way()
    call('SET', mark, process .. ' ' .. int(reach), 'PX', WITHDRAWN_FOR)
  end
end
local answers = {}
for at = FIXED_KEYS + 1, #KEYS do
  local key = KEYS[at]
  local answer = ''
  if back or void or not call('SET', key, value, 'PX', ttl, 'NX') then
    local by, since, before = string.match(try('GET', key) or '', '^(%S+) (%d+) (.*)$')
    local same = by == id and request ~= '' and before == request and not (back and void)
    if back and same then
      call('DEL', key)
    elseif by then
      answer = (same and '1 ' or '0 ') .. by .. ' ' .. since
    elseif back or void then
      answer = '0 ' .. id .. ' ' .. int(now)
    else
      -- Somebody else put something there.
      call('SET', key, value, 'PX', ttl)
    end
  end
  answers[#answers + 1] = answer
end
return { int(now), answers }
