// What a browser would have before the code under test is loaded.
import '@angular/compiler';
import '@angular/localize/init';
