"""The stage that builds and deploys: template, packaging, stacks, the embedded place."""
