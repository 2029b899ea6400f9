/** The overview: one block for each subject, the most important first. */

import type { ReactElement } from 'react';
import { Agents } from '../components/Agents';
import { Boundary } from '../components/Boundary';
import { Costs } from '../components/Costs';
import { Hero } from '../components/Hero';
import { Kpis } from '../components/Kpis';
import { Sources } from '../components/Sources';
import { Trend } from '../components/Trend';
import { Waterfall } from '../components/Waterfall';

export function Overview(): ReactElement {
  return (
    <>
      <Boundary name="The net figure" level={1}>
        <Hero />
      </Boundary>
      <div className="stack">
        <Boundary name="The key figures">
          <Kpis />
        </Boundary>
        <Boundary name="The trend">
          <Trend />
        </Boundary>
        <div className="columns">
          <Boundary name="The way from revenue to net">
            <Waterfall />
          </Boundary>
          <Boundary name="The list of costs">
            <Costs />
          </Boundary>
        </div>
        <Boundary name="The table of agents">
          <Agents />
        </Boundary>
      </div>
      <Boundary name="The list of sources">
        <Sources />
      </Boundary>
    </>
  );
}
