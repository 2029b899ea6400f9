/** What the dashboard's flat message is drawn on: figures, changes since the day before, and charts. */

const WIDTH = 600;
const HEIGHT = 200;

export function Board({ figures, trends, costs, agents }) {
  if (figures === null) return <p>Loading</p>;
  const change = (figures.netPnL - figures.previousNetPnL) / Math.abs(figures.previousNetPnL);
  return (
    <>
      <p className="reading">
        Net {figures.netPnL.toFixed(2)}, {(100 * change).toFixed(2)} %, {trends.length} days, {costs.length} costs, {agents.length} agents
      </p>
      <Chart values={trends.map(({ net }) => net)} />
      <ul>
        {costs.map(({ name, value, percentage }) => (
          <li key={name}>{`${name} ${value.toFixed(2)} ${percentage.toFixed(1)} %`}</li>
        ))}
        {agents.map(({ agent, revenue, expenses, net }) => (
          <li key={agent}>{`${agent} ${revenue.toFixed(2)} ${expenses.toFixed(2)} ${net.toFixed(2)}`}</li>
        ))}
      </ul>
    </>
  );
}

function Chart({ values }) {
  const least = Math.min(...values);
  const span = Math.max(...values) - least || 1;
  const points = values.map((value, i) => `${(WIDTH * i) / values.length},${HEIGHT - (HEIGHT * (value - least)) / span}`);
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`}>
      <polyline points={points.join(' ')} fill="none" stroke="currentColor" />
    </svg>
  );
}
