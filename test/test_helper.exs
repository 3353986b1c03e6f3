# The backend of the guide is one of those that the stores are tested over.
BaileysEx.Test.Guide.define_modules("guides/custom-backends.md")

ExUnit.start()
