/** The page that is glanced at: one question a block, the most important first. */

import type { ReactElement } from 'react';
import { Agents } from '../components/Agents';
import { Costs } from '../components/Costs';
import { Hero } from '../components/Hero';
import { Kpis } from '../components/Kpis';
import { Sources } from '../components/Sources';
import { Trend } from '../components/Trend';
import { Waterfall } from '../components/Waterfall';

export function Overview(): ReactElement {
  return (
    <>
      <Hero />
      <div className="stack">
        <Kpis />
        <Trend />
        <div className="columns">
          <Waterfall />
          <Costs />
        </div>
        <Agents />
      </div>
      <Sources />
    </>
  );
}
