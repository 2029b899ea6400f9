/** Limits a failure to one block of the page, and offers to remove what the page has stored. */

import { Component, type ReactElement, type ReactNode } from 'react';
import { pnlStore } from 'pnl-client';
import { forgetPreferences } from '../lib/preferences';

interface BoundaryProps {
  /** The name of the content, for the sentence: "The trend could not be shown". */
  name: string;
  /** Level of the heading that replaces it. */
  level?: 1 | 2;
  children: ReactNode;
}

export class Boundary extends Component<BoundaryProps, { failure: string | null }> {
  override state: { failure: string | null } = { failure: null };

  static getDerivedStateFromError(error: unknown): { failure: string } {
    return { failure: error instanceof Error ? error.message : String(error) };
  }

  override render(): ReactNode {
    const { failure } = this.state;
    if (failure === null) return this.props.children;
    const { name, level = 2 } = this.props;
    return <Failure name={name} level={level} failure={failure} onRetry={() => this.setState({ failure: null })} />;
  }
}

function Failure({ name, level, failure, onRetry }: { name: string; level: 1 | 2; failure: string; onRetry: () => void }): ReactElement {
  const Heading = `h${level}` as const;
  return (
    <section className="card failure" role="alert" data-testid="failure">
      <Heading>{name} could not be shown</Heading>
      <p>
        The rest of the page works. If trying again does not help, resetting removes the figures and
        settings that this page has stored on the device, but not the key.
      </p>
      <p className="soft">{failure}</p>
      <div className="card-tools">
        <button type="button" className="button" onClick={onRetry}>
          Try again
        </button>
        <button type="button" className="button" onClick={reset}>
          Reset the page
        </button>
      </div>
    </section>
  );
}

function reset(): void {
  pnlStore.forgetKept();
  forgetPreferences();
  window.location.reload();
}
