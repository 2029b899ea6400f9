import { describe, expect, it } from 'vitest';
import { endpoints, serverAddress } from '../src/address.js';

describe('where the server is', () => {
  const here = 'https://pnl.example';

  it('is where the page came from', () => {
    expect(endpoints({}, here)).toEqual({ api: here, socket: here });
  });

  it('is where a separately hosted build was told', () => {
    const there = { api: 'https://server.example', socket: 'https://server.example' };
    expect(endpoints({ apiUrl: 'https://server.example/api', wsUrl: 'ws://server.example/pnl-stream', wsSecure: 'true' }, here)).toEqual(there);
    expect(endpoints({ apiUrl: 'https://server.example/' }, here)).toEqual(there);
    expect(endpoints({ wsUrl: 'wss://server.example' }, here)).toEqual(there);
    expect(endpoints({ wsUrl: 'localhost:8000', wsSecure: 'false' }, here)).toEqual({ api: 'http://localhost:8000', socket: 'http://localhost:8000' });
  });

  it('may be a path on the host of the page', () => {
    expect(endpoints({ apiUrl: '/api' }, here)).toEqual({ api: here, socket: here });
    expect(endpoints({ apiUrl: '/desk/api/' }, here)).toEqual({ api: `${here}/desk`, socket: here });
  });

  it.each(['localhost:3000', 'server.example', 'ws://server.example', 'https://', 'ftp://server.example/api'])('cannot be %s', (apiUrl) => {
    expect(() => endpoints({ apiUrl }, here)).toThrow('apiUrl has to begin with');
  });

  it('is said before its first use, else it is the default where no page came from a server', () => {
    for (const origin of [undefined, 'null']) expect(serverAddress(origin).get().api).toBe('http://localhost:3000');
    const address = serverAddress(here);
    address.configure({ apiUrl: 'http://one' });
    address.configure({ wsUrl: 'two', wsSecure: true });
    expect(address.get()).toEqual({ api: 'https://two', socket: 'https://two' });
    expect(() => address.configure({})).toThrow('before the store is first used');
  });
});
