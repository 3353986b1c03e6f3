[
  inputs: ["{mix,.formatter}.exs", "{bench,bin,config,lib,mix,test}/**/*.{ex,exs}"],
  import_deps: []
]
